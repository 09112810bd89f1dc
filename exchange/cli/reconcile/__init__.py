"""`reconcile`: a partner's own file against the exchange's lines, and what is done about breaks."""
