"""A script without an event loop: the same names, with `with` and without `await`."""

import subprocess
import sys

from tac_orchestrator.blocking import open_database

with open_database() as db:
    tester = db.orchestrator_agents.register("tester", agent_type="tester")
    with db.agents.run(tester, session_id="nightly") as agent:
        done = subprocess.run([sys.executable, "--version"], capture_output=True, text=True, check=True)
        agent.log("tool_call", "python --version", details={"exit_code": done.returncode})

    for session in db.sessions.list():
        print(session.session_id, session.status, session.agent_count)
    print([log.message for log in db.agent_logs.list(log_type="tool_call")])
