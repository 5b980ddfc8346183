"""A package of somebody else's, which knows mirclr and is not known to it; test_extensions.py trains with it."""
