"""An audit of stored predictions, without an orchestrator."""
