"""One matcher a file; `lsdm_jax.matching.MATCHERS` lists them."""
