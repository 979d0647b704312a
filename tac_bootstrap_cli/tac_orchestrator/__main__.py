"""`python -m tac_orchestrator` is `tac-orch`."""

from tac_orchestrator.cli.main import main

main()
