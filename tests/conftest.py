"""Check every shape annotation of the package at run time, in every test."""

from jaxtyping import install_import_hook

install_import_hook("zhixing", "beartype.beartype")
