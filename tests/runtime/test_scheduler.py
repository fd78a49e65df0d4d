"""The scheduler against a cache that behaves as llama.cpp's unified one does."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.runtime.jobs import Job, Step
from app.runtime.ledger import Ledger, common_prefix
from app.runtime.scheduler import Scheduler
from app.runtime.shelf import Entry, StateShelf
from tests.fakes.cells import Cells


def make(cells: Cells, **changes: int) -> Scheduler:
    numbers = {"n_seq": 6, "n_running": 3, "n_ctx": 64, "n_cells": cells.count, "n_batch": 16} | changes
    return Scheduler(cells, **numbers)


def run(scheduler: Scheduler, cells: Cells, job: Job, count: int) -> list[Step]:
    """Until ``job`` has written ``count`` tokens; all others write too. Token n is the number of known ones before."""
    steps = []
    goal = len(job.tokens) + count
    while len(job.tokens) < goal or job.gap > 1:
        step = scheduler.step()
        assert step.chunks, "a running job must move"
        assert cells.decode(step)
        scheduler.done(step)
        for chunk in step.chunks:
            if chunk.job.gap == 0:
                scheduler.push(chunk.job, 1000 + len(chunk.job.tokens))
        steps.append(step)
    return steps


def test_a_prompt_is_computed_in_pieces_of_the_batch() -> None:
    cells = Cells(64)
    scheduler, job = make(cells), Job("a", list(range(40)))
    scheduler.add(job)
    steps = run(scheduler, cells, job, 2)
    assert [step.tokens for step in steps] == [16, 16, 8, 1]
    assert cells.tokens(job.seq) == job.tokens[:-1]


def test_jobs_that_write_go_before_prompts() -> None:
    cells = Cells(64)
    scheduler, first, second = make(cells), Job("a", [1, 2, 3]), Job("b", list(range(100, 120)))
    scheduler.add(first)
    run(scheduler, cells, first, 1)
    scheduler.add(second)
    step = scheduler.step()
    assert [(chunk.job.key, chunk.count) for chunk in step.chunks] == [("a", 1), ("b", 15)]
    assert scheduler.step(prompt_budget=4).tokens == 5


def sizes(step: Step) -> dict[object, int]:
    return {chunk.job.key: chunk.count for chunk in step.chunks}


def test_a_short_prompt_does_not_wait_for_all_of_a_long_one() -> None:
    cells = Cells(2048)
    scheduler = make(cells, n_ctx=2048, n_batch=64)
    for job in (Job("long", list(range(1000))), Job("short", list(range(5000, 5050)))):
        scheduler.add(job)
    found = []
    for _ in range(3):
        step = scheduler.step()
        found.append(sizes(step))
        assert cells.decode(step)
        scheduler.done(step)
    assert found == [{"short": 32, "long": 32}, {"short": 18, "long": 46}, {"long": 64}]


def test_short_prompts_never_take_more_than_half_of_a_step() -> None:
    cells = Cells(4096)
    scheduler = make(cells, n_ctx=4096, n_batch=64, n_running=6)
    scheduler.add(Job("long", list(range(3000))))
    for number in range(5):
        scheduler.add(Job(number, list(range(5000 + 100 * number, 5020 + 100 * number))))
    assert sizes(scheduler.step()) == {0: 20, 1: 12, "long": 32}
    assert sizes(scheduler.step(prompt_budget=1)) == {"long": 1}


@pytest.mark.parametrize(
    ("length", "priority"), [(100, 0), (40, -1)], ids=["not much shorter", "less wanted"]
)
def test_other_prompts_wait_their_turn(length: int, priority: int) -> None:
    cells = Cells(2048)
    scheduler = make(cells, n_ctx=2048, n_batch=64)
    scheduler.add(Job("first", list(range(300))))
    scheduler.add(Job("second", list(range(5000, 5000 + length)), priority=priority))
    assert sizes(scheduler.step()) == {"first": 64}


def test_held_answers_wait_until_the_prompts_are_computed() -> None:
    cells = Cells(64)
    scheduler, first, second = make(cells), Job("a", [1, 2, 3]), Job("b", list(range(100, 120)))
    scheduler.add(first)
    run(scheduler, cells, first, 1)
    scheduler.add(second)
    for size in (16, 4):
        step = scheduler.step(held=[first])
        assert [(chunk.job.key, chunk.count) for chunk in step.chunks] == [("b", size)]
        assert cells.decode(step)
        scheduler.done(step)
    scheduler.push(second, 7)
    assert [chunk.job.key for chunk in scheduler.step().chunks] == ["a", "b"]


def test_held_answers_go_on_when_the_prompt_finds_no_room() -> None:
    cells = Cells(32)
    scheduler, first, second = make(cells), Job("a", list(range(10))), Job("b", list(range(100, 125)))
    for job in (first, second):
        scheduler.add(job)
    run(scheduler, cells, first, 1)
    while second in scheduler.running and (step := scheduler.step(held=[first])):
        if step.chunks[0].job is first:
            break
        assert cells.decode(step)
        scheduler.done(step)
    assert [chunk.job for chunk in scheduler.step(held=[first]).chunks] == [first]
    assert first.preempted == 0


def test_the_next_turn_takes_the_idle_sequence_over() -> None:
    cells = Cells(64)
    scheduler, first = make(cells), Job("a", list(range(20)))
    scheduler.add(first)
    run(scheduler, cells, first, 3)
    scheduler.remove(first)
    second = Job("b", [*first.tokens[:22], 7, 7])
    scheduler.add(second)
    step = scheduler.step()
    assert second.cached == 22
    assert step.tokens == 2
    assert scheduler.ledger.used == len(cells.cells) == 22


def test_the_last_prompt_token_is_always_computed() -> None:
    cells = Cells(64)
    scheduler, first, second = make(cells), Job("a", list(range(20))), Job("b", list(range(20)))
    scheduler.add(first)
    run(scheduler, cells, first, 3)
    scheduler.remove(first)
    scheduler.add(second)
    assert scheduler.step().tokens == 1
    assert second.cached == 19


def test_a_prefix_of_another_conversation_is_shared_and_that_one_stays() -> None:
    cells = Cells(64)
    scheduler, first = make(cells), Job("a", list(range(30)))
    scheduler.add(first)
    run(scheduler, cells, first, 1)
    scheduler.remove(first)
    second = Job("b", [*range(10), 99, 98])
    scheduler.add(second)
    step = scheduler.step()
    assert second.cached == 10
    assert cells.decode(step)
    scheduler.done(step)
    assert scheduler.ledger.used == len(cells.cells) == 32
    assert (0, list(range(30))) in scheduler.idle()


def test_a_common_prompt_of_many_is_computed_once() -> None:
    cells, common = Cells(200), list(range(48))
    scheduler = make(cells, n_running=4, n_ctx=100)
    jobs = [Job(i, [*common, 900 + i]) for i in range(4)]
    for job in jobs:
        scheduler.add(job)
    computed = 0
    for _ in range(6):
        step = scheduler.step()
        assert cells.decode(step)
        scheduler.done(step)
        computed += step.tokens
    assert computed == 52
    assert [job.cached for job in jobs] == [0, 48, 48, 48]
    assert all(cells.tokens(job.seq) == job.tokens for job in jobs)


def test_a_cancelled_donor_does_not_hold_the_others_up() -> None:
    cells, common = Cells(200), list(range(40))
    scheduler = make(cells, n_ctx=100)
    first, second = Job("a", [*common, 1]), Job("b", [*common, 2])
    scheduler.add(first)
    scheduler.add(second)
    step = scheduler.step()
    assert [chunk.job for chunk in step.chunks] == [first]
    assert cells.decode(step)
    scheduler.done(step)
    scheduler.remove(first)
    assert [chunk.job for chunk in scheduler.step().chunks] == [second]
    assert second.cached == 16


def test_idle_sequences_make_room() -> None:
    cells = Cells(40)
    scheduler, first, second = make(cells), Job("a", list(range(30))), Job("b", list(range(100, 130)))
    scheduler.add(first)
    run(scheduler, cells, first, 1)
    scheduler.remove(first)
    scheduler.add(second)
    run(scheduler, cells, second, 1)
    assert scheduler.idle() == []


def test_the_last_to_come_gives_its_cells_up_and_loses_nothing() -> None:
    cells = Cells(40)
    scheduler = make(cells, n_running=2)
    first, second = Job("a", list(range(15))), Job("b", list(range(100, 115)))
    scheduler.add(first)
    scheduler.add(second)
    run(scheduler, cells, first, 14)
    assert second.preempted
    known = list(second.tokens)
    scheduler.remove(first)
    run(scheduler, cells, second, 2)
    assert second.tokens[: len(known)] == known
    assert cells.tokens(second.seq) == second.tokens[: second.computed]


def test_a_job_alone_without_room_is_full() -> None:
    cells = Cells(8)
    scheduler, job = make(cells), Job("a", list(range(8)))
    scheduler.add(job)
    step = scheduler.step()
    assert cells.decode(step)
    scheduler.done(step)
    scheduler.push(job, 1)
    step = scheduler.step()
    assert step.full == [job]
    assert not step.chunks


def test_the_context_of_one_sequence_is_its_limit() -> None:
    cells = Cells(64)
    scheduler, job = make(cells, n_ctx=10), Job("a", list(range(9)))
    scheduler.add(job)
    step = scheduler.step()
    cells.decode(step)
    scheduler.done(step)
    assert scheduler.push(job, 1)
    step = scheduler.step()
    cells.decode(step)
    scheduler.done(step)
    assert not scheduler.push(job, 2)


def test_no_room_evicts_then_shrinks_then_preempts_then_ends() -> None:
    cells = Cells(100)
    scheduler = make(cells, n_running=2, n_ctx=100)
    old, first, second = Job("old", [1, 2]), Job("a", list(range(10, 18))), Job("b", list(range(20, 28)))
    scheduler.add(old)
    run(scheduler, cells, old, 1)
    scheduler.remove(old)
    scheduler.add(first)
    scheduler.add(second)
    step = scheduler.step()
    assert step.tokens == 16
    assert scheduler.no_room(step) == []
    assert scheduler.idle() == []
    sizes = []
    while step.tokens > len(step.chunks):
        assert scheduler.no_room(step) == []
        step = scheduler.step()
        sizes.append(step.tokens)
    assert sizes == [8, 4, 2, 1]
    assert scheduler.no_room(step) == []
    assert second.preempted == 1
    step = scheduler.step()
    while step.tokens > 1:
        assert scheduler.no_room(step) == []
        step = scheduler.step()
    assert scheduler.no_room(step) == [first]


def test_a_step_that_was_cut_short_counts_what_is_there() -> None:
    cells = Cells(64)
    scheduler, job = make(cells), Job("a", list(range(30)))
    scheduler.add(job)
    step = scheduler.step()
    cells.decode(step)
    cells.trim(job.seq, 10)
    scheduler.interrupted(job, 10)
    assert (scheduler.ledger.used, job.computed, scheduler.step().chunks[0].start) == (10, 10, 10)
    cells.trim(job.seq, 0)
    scheduler.interrupted(job, 0)
    assert (scheduler.ledger.used, scheduler.step().chunks[0].start) == (0, 0)


def test_priority_goes_first() -> None:
    cells = Cells(64)
    scheduler = make(cells, n_running=1)
    slow, quick = Job("slow", [1, 2]), Job("quick", [3, 4], priority=5)
    scheduler.add(slow)
    scheduler.add(quick)
    assert [chunk.job.key for chunk in scheduler.step().chunks] == ["quick"]


def test_a_cache_that_can_not_cut_is_used_only_whole() -> None:
    cells = Cells(64, can_cut=False, can_share=False)
    scheduler, first = make(cells), Job("a", list(range(10)))
    scheduler.add(first)
    run(scheduler, cells, first, 2)
    scheduler.remove(first)
    held = scheduler.idle()[0][1]
    other = Job("b", [*held[:5], 99])
    scheduler.add(other)
    scheduler.step()
    assert other.cached == 0
    longer = Job("c", [*held, 5, 6])
    scheduler.add(longer)
    scheduler.step()
    assert longer.cached == len(held)


def over(scheduler: Scheduler, cells: Cells, job: Job, count: int = 1) -> Job:
    """The job has written ``count`` tokens and is gone."""
    scheduler.add(job)
    run(scheduler, cells, job, count)
    scheduler.remove(job)
    return job


def shelved(
    cells: Cells, cap: int = 1000, n_running: int = 3, n_ctx: int = 200
) -> tuple[Scheduler, StateShelf]:
    shelf = StateShelf(cells, cap)
    made = Scheduler(
        cells,
        n_seq=6,
        n_running=n_running,
        n_ctx=n_ctx,
        n_cells=cells.count,
        n_batch=64,
        copy_steps=4,
        shelf=shelf,
    )
    return made, shelf


def test_a_light_state_is_on_the_shelf_before_the_next_job_sends_it_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = Cells(400)
    scheduler, shelf = shelved(cells)
    saved: list[int] = []
    save = cells.save_state
    monkeypatch.setattr(cells, "save_state", lambda seq: saved.append(seq) or save(seq))
    first = over(scheduler, cells, Job("a", list(range(60)), name="one"), 9)
    assert scheduler.set_aside()
    assert not scheduler.set_aside(), "it is there already"
    assert (len(saved), len(shelf), scheduler.ledger.used) == (1, 1, 68), "its cells stay"
    over(scheduler, cells, Job("b", list(range(100, 160)), name="two"), 9)
    assert len(saved) == 1, "a job waited for a copy"
    assert scheduler.names() == {"two"}
    again = over(scheduler, cells, Job("a", [*first.tokens, 7], name="one"), 9)
    assert again.cached > 60


def test_a_heavy_state_is_copied_only_when_it_has_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells(400)
    scheduler, shelf = shelved(cells)
    over(scheduler, cells, Job("a", list(range(60)), name="one"), 9)
    monkeypatch.setattr("app.runtime.shelf.LIGHT", 60)
    assert not scheduler.set_aside()
    assert len(shelf) == 0


def test_alternating_conversations_have_the_cache_to_themselves() -> None:
    cells = Cells(400)
    scheduler, shelf = shelved(cells)
    first = over(scheduler, cells, Job("a", list(range(60)), name="one"), 9)
    second = over(scheduler, cells, Job("b", list(range(100, 160)), name="two"), 9)
    assert scheduler.ledger.used == len(cells.cells) == 68
    assert (shelf.names(), scheduler.names()) == ({"one"}, {"two"})
    for _ in range(3):
        first = over(scheduler, cells, Job("a", [*first.tokens, 7, 7], name="one"), 9)
        second = over(scheduler, cells, Job("b", [*second.tokens, 7, 7], name="two"), 9)
        assert first.cached == second.cached > 60
        first.cached = second.cached = 0
        assert len(shelf) == 1
        assert max(place for place, *_ in cells.cells) < len(cells.cells) == scheduler.ledger.used


def test_a_short_answer_moves_nothing() -> None:
    cells = Cells(400)
    scheduler, shelf = shelved(cells)
    over(scheduler, cells, Job("a", list(range(60))))
    over(scheduler, cells, Job("b", list(range(100, 160)), limit=3))
    assert len(shelf) == 0
    assert len(scheduler.idle()) == 2


def test_a_shared_beginning_stays_for_those_who_need_it() -> None:
    cells, common = Cells(400), list(range(80))
    scheduler, shelf = shelved(cells)
    over(scheduler, cells, Job("a", [*common, *[1] * 100]))
    second = over(scheduler, cells, Job("b", [*common, *[2] * 90]))
    assert (second.cached, len(shelf)) == (80, 1)
    assert scheduler.ledger.used == 170
    busy = Job("c", [*common, *[3] * 90])
    scheduler.add(busy)
    run(scheduler, cells, busy, 1)
    again = over(scheduler, cells, Job("d", [*common, *[1] * 100, 4]))
    assert (busy.cached, again.cached) == (80, 180)


def test_a_beginning_that_many_share_is_never_there_twice() -> None:
    cells, common = Cells(1000), list(range(100))
    scheduler, shelf = shelved(cells)
    for round_ in range(3):
        jobs = [Job(at, [*common, *[round_ * 10 + at] * 40], limit=10) for at in range(3)]
        for job in jobs:
            scheduler.add(job)
        run(scheduler, cells, jobs[-1], 5)
        for job in jobs:
            scheduler.remove(job)
            assert job.cached == 100 or not round_
    assert len(shelf) == 0
    assert len(cells.cells) < 100 + 6 * 50


def test_what_the_shelf_can_not_take_stays_in_the_cache() -> None:
    cells = Cells(400)
    scheduler, shelf = shelved(cells, cap=50)
    first = over(scheduler, cells, Job("a", list(range(60))))
    over(scheduler, cells, Job("b", list(range(100, 160))))
    assert len(shelf) == 0
    again = Job("c", [*first.tokens, 5])
    scheduler.add(again)
    scheduler.step()
    assert again.cached == 60


def test_a_conversation_behind_free_cells_comes_to_the_front() -> None:
    cells = Cells(400)
    scheduler, _ = shelved(cells)
    other, chat = Job("a", list(range(90))), Job("b", list(range(100, 160)))
    scheduler.add(other)
    scheduler.add(chat)
    run(scheduler, cells, chat, 3)
    for job in (other, chat):
        scheduler.remove(job)
    assert max(place for place, *_ in cells.cells) > 150
    chat = over(scheduler, cells, Job("c", [*chat.tokens, 9]), 3)
    assert max(place for place, *_ in cells.cells) > 150, "the other one was in front until now"
    again = Job("d", [*chat.tokens, 9])
    scheduler.add(again)
    step = scheduler.step()
    assert (again.cached, step.tokens) == (len(chat.tokens) - 1, 2)
    assert max(place for place, *_ in cells.cells) < 70


def test_a_job_that_had_to_go_gets_its_state_back() -> None:
    cells = Cells(100)
    scheduler, shelf = shelved(cells, n_running=2, n_ctx=100)
    first, second = Job("a", list(range(40))), Job("b", list(range(100, 140)))
    scheduler.add(first)
    scheduler.add(second)
    run(scheduler, cells, first, 22)
    assert (second.preempted, len(shelf)) == (1, 1)
    scheduler.remove(first)
    step = scheduler.step()
    assert [chunk.job for chunk in step.chunks] == [second]
    assert step.tokens <= 2


def test_a_state_from_the_disk_is_used_when_it_saves_more() -> None:
    cells = Cells(400)
    scheduler, _ = shelved(cells)
    stored = Entry(list(range(50)), "", cells.state_of(list(range(50))))
    job = Job("a", [*range(50), 9, 9], stored=stored)
    scheduler.add(job)
    assert (scheduler.step().tokens, job.cached, job.stored) == (2, 50, None)
    damaged = Entry(list(range(60)), "", b"")
    job = Job("b", [*range(60), 9], stored=damaged)
    scheduler.add(job)
    scheduler.step()
    assert job.cached == 50


def test_a_deleted_conversation_has_no_name() -> None:
    cells = Cells(400)
    scheduler, shelf = shelved(cells)
    over(scheduler, cells, Job("a", list(range(60)), name="one"))
    running = Job("b", list(range(100, 160)), name="two")
    scheduler.add(running)
    run(scheduler, cells, running, 1)
    for name in ("one", "two"):
        scheduler.unname(name)
        shelf.forget(name)
    scheduler.remove(running)
    assert scheduler.names() | shelf.names() == set()
    assert shelf.used == len(shelf) == 0


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.integers(0, 400), st.integers(0, 300))
def test_common_prefix(left: list[int], right: list[int], limit: int, same: int) -> None:
    left, right = [7] * same + left, [7] * same + right
    found = common_prefix(left, right, limit)
    plain = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))))
    assert found == min(plain, limit)


class LedgerMachine(RuleBasedStateMachine):
    """The ledger counts as a cache of single cells does."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger, self.held = Ledger(4), [[] for _ in range(4)]
        self.fresh: Iterator[int] = itertools.count()

    @rule(seq=st.integers(0, 3), count=st.integers(1, 20))
    def grow(self, seq: int, count: int) -> None:
        self.ledger.grow(seq, count)
        self.held[seq] += [next(self.fresh) for _ in range(count)]

    @rule(seq=st.integers(0, 3), keep=st.floats(0, 1))
    def trim(self, seq: int, keep: float) -> None:
        length = int(len(self.held[seq]) * keep)
        self.ledger.trim(seq, length)
        del self.held[seq][length:]

    @rule(source=st.integers(0, 3), into=st.integers(0, 3), part=st.floats(0, 1))
    def share(self, source: int, into: int, part: float) -> None:
        if self.held[into] or source == into:
            return
        length = int(len(self.held[source]) * part)
        self.ledger.share(source, into, length)
        self.held[into] = self.held[source][:length]

    @invariant()
    def counts(self) -> None:
        assert self.ledger.used == len({cell for held in self.held for cell in held})
        assert self.ledger.length == [len(held) for held in self.held]
        assert self.ledger.pinned([0, 1]) == len({*self.held[0], *self.held[1]})


class SchedulerMachine(RuleBasedStateMachine):
    """Random arrivals, cancels, refusals and ends: no token is lost, no budget is broken, every job moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = Cells(48)
        self.scheduler = self.made()
        self.jobs: list[Job] = []
        self.known: dict[int, list[int]] = {}

    def made(self) -> Scheduler:
        return make(self.cells, n_seq=4, n_running=3, n_ctx=40, n_batch=12)

    @rule(
        prompt=st.lists(st.integers(0, 1), min_size=1, max_size=38),
        same=st.integers(0, 30),
        priority=st.integers(0, 1),
    )
    def add(self, prompt: list[int], same: int, priority: int) -> None:
        size = self.scheduler.n_ctx - 2
        tokens = ([5] * (same * size // 38) + prompt)[:size]
        job = Job(len(self.known), tokens, priority)
        self.jobs.append(job)
        self.known[id(job)] = list(tokens)
        self.scheduler.add(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        self.scheduler.remove(job)
        self.jobs.remove(job)

    @rule(
        budget=st.one_of(st.none(), st.integers(1, 12)),
        refuse=st.booleans(),
        token=st.integers(0, 5),
        hold=st.booleans(),
    )
    def step(self, budget: int | None, refuse: bool, token: int, hold: bool) -> None:
        held = [job for job in self.scheduler.running if job.gap == 1] if hold else []
        step = self.scheduler.step(budget, held)
        assert step.tokens <= 12
        self._end(step.full)
        if not step.chunks:
            assert step.full or not self.jobs
            return
        assert all(chunk.count > 0 for chunk in step.chunks)
        assert len({chunk.job.seq for chunk in step.chunks}) == len(step.chunks)
        if refuse or not self.cells.decode(step):
            self._end(self.scheduler.no_room(step))
            return
        self.scheduler.done(step)
        for chunk in step.chunks:
            if chunk.complete:
                if self.scheduler.push(chunk.job, token):
                    self.known[id(chunk.job)].append(token)
                else:
                    self._end([chunk.job])

    def _end(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.scheduler.remove(job)
            self.jobs.remove(job)

    @invariant()
    def nothing_is_lost(self) -> None:
        for job in self.jobs:
            assert job.tokens == self.known[id(job)]
            assert (job in self.scheduler.running) != (job in self.scheduler.waiting)

    @invariant()
    def the_cache_holds_what_was_computed(self) -> None:
        for job in self.scheduler.running:
            assert self.cells.tokens(job.seq) == job.tokens[: job.computed]
        for seq, held in self.scheduler.idle():
            assert self.cells.tokens(seq) == held

    @invariant()
    def the_ledger_is_right(self) -> None:
        assert self.scheduler.ledger.used == len(self.cells.cells) <= self.cells.count

    def teardown(self) -> None:
        for _ in range(400):
            if not self.jobs:
                return
            step = self.scheduler.step()
            assert step.chunks or step.full, "stuck"
            self._end(step.full)
            if step.chunks:
                assert self.cells.decode(step)
                self.scheduler.done(step)
            for chunk in step.chunks:
                if chunk.complete:
                    self._end([chunk.job])
        pytest.fail("jobs never end")


class ShelfMachine(SchedulerMachine):
    """The same with a shelf that is small and used often."""

    def made(self) -> Scheduler:
        self.cells = Cells(100)
        self.shelf = StateShelf(self.cells, 150)
        return Scheduler(
            self.cells,
            n_seq=4,
            n_running=3,
            n_ctx=80,
            n_cells=100,
            n_batch=12,
            shelf=self.shelf,
            copy_steps=1,
        )

    @invariant()
    def the_shelf_is_right(self) -> None:
        assert self.shelf.used == sum(len(entry.state) for entry in self.shelf.entries()) <= 150
        assert all(bytes(entry.tokens) == entry.state for entry in self.shelf.entries())


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestShelf = ShelfMachine.TestCase
TestShelf.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
