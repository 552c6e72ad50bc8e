"""Tests of loading, pooling and prefixing encoders."""
