"""Who parties are for tax law: their billing details, as documents show them."""
