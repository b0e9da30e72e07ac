"""The statements of the billing domain, by noun."""
