"""The pages of the literature, one module for each subject."""
