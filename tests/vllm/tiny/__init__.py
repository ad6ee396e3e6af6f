"""The small model: `train` makes it from the prompts that `prompts` records of the product."""
