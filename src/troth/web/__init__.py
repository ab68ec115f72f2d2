"""People come in here, each with an operator's certificate; for now to ask whether the home is well."""
