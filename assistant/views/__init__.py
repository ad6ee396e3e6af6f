"""One URL, one view, one template. What a user may see is a query (`visible_to`), and what is not theirs is a 404."""
