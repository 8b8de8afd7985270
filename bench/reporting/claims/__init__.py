"""Published sentences held against records: `docs/claims.yaml` says which cells test each, the verdict is computed."""
