"""The policy pack: typed models, loader, overlays, lint and diff; `pack/` holds the YAML."""
