"""One agent of the demonstration: `python -m tac_orchestrator.demo ROLE [PART]`."""

import asyncio
import sys

from tac_orchestrator.demo.roles import ROLES, WorkflowFailed

role, *arguments = sys.argv[1:]
try:
    asyncio.run(ROLES[role](*arguments))
except WorkflowFailed as error:
    sys.exit(str(error))
