"""One published family a file: which of its options and tensors are which of ours."""
