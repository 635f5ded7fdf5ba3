"""The pages, thin scripts in the order of the flow."""
