"""Audits in this process and processes of its own, without an orchestrator: `umbrameter.audit`."""
