"""What each task brings to the workflows: how it is used and how it learns."""
