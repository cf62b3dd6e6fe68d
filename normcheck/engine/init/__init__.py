"""`normcheck init`: what a project lacks to check its normalizers in every run of its tests."""
