"""One loaded model: template, grammar, scheduler, engine, worker process and its supervisor."""
