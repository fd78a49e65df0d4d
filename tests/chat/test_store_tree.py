"""The tree of messages against a model of it: any order of operations leaves both the same."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.chat.store import ChatStore
from app.core.events import Bus


class Trees(RuleBasedStateMachine):
    """A plain tree in memory beside the store's."""

    def __init__(self) -> None:
        super().__init__()
        self.store = ChatStore(None, Bus())
        self.conversation = self.store.create().id
        self.texts: dict[int, str] = {}
        self.parents: dict[int, int | None] = {}
        self.shown: dict[int | None, int | None] = {}
        self.deleted: set[int] = set()

    def teardown(self) -> None:
        self.store.close()

    def there(self, message: int | None) -> bool:
        while message is not None:
            if message in self.deleted:
                return False
            message = self.parents[message]
        return True

    def alive(self) -> list[int]:
        return [message for message in self.texts if self.there(message)]

    def children(self, parent: int | None) -> list[int]:
        return sorted(m for m, p in self.parents.items() if p == parent and m not in self.deleted)

    def path(self) -> list[int]:
        found, current = [], self.shown.get(None)
        while current is not None:
            found.append(current)
            current = self.shown.get(current)
        return found

    def note(self, message: int, parent: int | None, text: str) -> None:
        self.texts[message], self.parents[message] = text, parent
        self.shown[parent] = message

    @rule(data=st.data(), text=st.text(max_size=5))
    def append(self, data: st.DataObject, text: str) -> None:
        parent = data.draw(st.sampled_from([None, *self.alive()]))
        made = self.store.append(self.conversation, parent, "user", text)
        self.note(made.id, parent, text)

    @precondition(lambda self: self.path())
    @rule(text=st.text(max_size=5))
    def answer(self, text: str) -> None:
        parent = self.path()[-1]
        made = self.store.append(self.conversation, parent, "assistant", writing=True)
        self.store.journal(made.id, text)
        self.store.finish(made.id, "stop").result()
        self.note(made.id, parent, text)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), text=st.text(max_size=5))
    def edit(self, data: st.DataObject, text: str) -> None:
        old = data.draw(st.sampled_from(self.alive()))
        made = self.store.edit(old, text)
        self.note(made.id, self.parents[old], text)

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.alive()))
        self.store.switch(message)
        self.show(message)

    def show(self, message: int) -> None:
        current: int | None = message
        while current is not None:
            self.shown[self.parents[current]] = current
            current = self.parents[current]

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.alive()))
        parent = self.parents[message]
        before = self.children(parent)
        at = before.index(message)
        self.store.delete_message(message)
        self.deleted.add(message)
        if self.shown.get(parent) == message:
            rest = [other for other in before if other != message]
            self.shown[parent] = rest[max(at - 1, 0)] if rest else None

    @precondition(lambda self: self.deleted)
    @rule(data=st.data())
    def undelete(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(sorted(self.deleted)))
        self.store.restore_message(message)
        self.deleted.discard(message)
        if self.there(message):
            self.show(message)

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.alive()))
        way, current = [], message
        while current is not None:
            way.append(self.texts[current])
            current = self.parents[current]  # type: ignore[assignment]
        made = self.store.fork(message)
        assert [m.text for m in self.store.messages(made.id)] == way[::-1]
        self.store.purge(made.id)

    @invariant()
    def the_path_is_the_same(self) -> None:
        found = self.store.messages(self.conversation)
        assert [m.id for m in found] == self.path()
        assert [m.text for m in found] == [self.texts[m] for m in self.path()]
        for message in found:
            assert list(message.versions) == self.children(message.parent)

    @invariant()
    def nothing_alive_is_missing(self) -> None:
        assert {m.id for m in self.store.tree(self.conversation)} == set(self.alive())


TestTrees = Trees.TestCase
TestTrees.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
