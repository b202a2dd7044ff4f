"""Norm components: normalize the features of each token."""
