"""Exports: scored runs in the forms that other tools read, namely the hub, `datasets` and MLflow."""
