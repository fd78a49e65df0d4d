"""Presence: what another process can see of this one."""

import os
from pathlib import Path

from app.core.events import Bus, InstanceChanged, ServerChanged
from app.core.presence import PresenceFile, read_presences


def test_instances_and_the_server_are_seen_until_the_end(tmp_path: Path, bus: Bus) -> None:
    presence = PresenceFile(tmp_path / "run", bus)
    bus.publish(InstanceChanged("1", "m", "loading"))
    bus.publish(InstanceChanged("1", "m", "ready", n_ctx=512))
    bus.publish(ServerChanged("on", "http://127.0.0.1:8177"))
    (found,) = read_presences(tmp_path / "run")
    assert (found.pid, found.address) == (os.getpid(), "http://127.0.0.1:8177")
    assert [(item.model, item.state) for item in found.instances] == [("m", "ready")]
    bus.publish(InstanceChanged("1", "m", "stopped"))
    bus.publish(ServerChanged("off"))
    assert read_presences(tmp_path / "run")[0].instances == ()
    presence.close()
    assert read_presences(tmp_path / "run") == []


def test_files_of_dead_processes_are_swept_and_damaged_ones_ignored(tmp_path: Path) -> None:
    (tmp_path / "4194303.json").write_text('{"pid": 4194303}')
    (tmp_path / "1.json").write_text("{")
    assert read_presences(tmp_path) == []
    assert not (tmp_path / "4194303.json").exists()
