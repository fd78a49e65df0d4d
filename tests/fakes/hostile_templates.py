"""Templates that try to reach Python (ESCAPES) or to take all the time or memory (BOMBS)."""


def _grown(step: str, then: str = "", start: str = "'ab'") -> str:
    """Repeat ``step`` 99 times over ``ns.x`` and ``ns.y``, then show ``then``."""
    sets = "".join(f"{{% set ns.{name} = {step.replace('@', 'ns.' + name)} %}}" for name in "xy")
    return f"{{% set ns = namespace(x={start}, y={start}) %}}{{% for i in range(99) %}}{sets}{{% endfor %}}{then}"


def _laughs(then: str) -> str:
    return _grown("[@, @]", then, "[1]")


def _hashed(then: str) -> str:
    return _grown("(@, @)", then, "(1,)")


def _loop(body: str, count: int = 99999) -> str:
    return f"{{% for i in range({count}) %}}{body}{{% endfor %}}"


ESCAPES = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "item": "{{ ''['__class__'] }}",
    "attr filter": "{{ '' | attr('__class__') }}",
    "format": "{{ '{0.__class__}'.format(1) }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "globals": "{{ raise_exception.__globals__ }}",
    "globals of ours": "{{ strftime_now.__wrapped__ }}",
    "namespace": "{{ namespace.__init__.__globals__ }}",
    "range": "{{ range.__self__ }}",
    "loop": "{% for x in [1] %}{{ loop._iterable }}{{ loop._recurse.x }}{% endfor %}",
    "self": "{{ self._TemplateReference__context.environment }}",
    "macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "caller": "{% macro m() %}{{ caller.__class__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "dict change": "{{ messages[0].update({'a': 1}) }}",
    "fromkeys": "{{ dict.fromkeys([1]) }}",
    "encode": "{{ 'x'.encode('utf-16').hex() }}",
    "to_bytes": "{{ (1).to_bytes(9, 'big') }}",
    "map attribute": "{{ ['x'] | map(attribute='__class__') | list }}",
    "map attribute used": "{{ (['x'] | map(attribute='__class__') | first).x }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'x' as y %}",
    "from": "{% from 'x' import y %}",
    "extends": "{% extends '/etc/passwd' %}",
    "lipsum": "{{ lipsum.__globals__ }}",
    "cycler": "{{ cycler.__init__ }}",
}

BOMBS = {
    "text": "{{ 'x' * 10**9 }}",
    "text again": "{{ 'x' * 3000000 ~ 'y' * 3000000 }}",
    "list": "{{ [0] * 10**9 }}",
    "list repeated": "{{ 10**8 * [0] }}",
    "power": "{{ 10 ** (10 ** 10) }}",
    "power of powers": _grown("@ * @", start="10"),
    "negative": "{{ (-10)**999999 }}",
    "range": "{{ range(10**9) | list }}",
    "loops": _loop(_loop(_loop(""))),
    "filtered loops": _loop("{% for b in range(99999) if b == -1 %}{% endfor %}"),
    "recursive loop": "{% for x in [[1, 2]] recursive %}{{ loop([[1, 2], [1, 2]]) }}{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "wide recursion": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "doubling": _grown("@ ~ @"),
    "doubling plus": _grown("@ + @"),
    "doubling lists": _grown("@ + @", start="[1]"),
    "doubling by join": _grown("[@, @] | join"),
    "doubling by method": _grown("@.join([@, @])"),
    "doubling by replace": _grown("@.replace('a', 'aa')"),
    "doubling by filter": _grown("@ | replace('a', 'aa')"),
    "doubling by format": _grown("'%s%s' % (@, @)"),
    "doubling by str.format": _grown("'{0}{0}'.format(@)"),
    "doubling by set": "{% set ns = namespace(x='ab') %}"
    + _loop("{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}", 99),
    "billion laughs shown": _laughs("{{ ns.x }}"),
    "billion laughs json": _laughs("{{ ns.x | tojson }}"),
    "billion laughs joined": _laughs("{{ '' ~ ns.x }}"),
    "billion laughs compared": _laughs("{{ ns.x == ns.y }}"),
    "billion laughs tested": _laughs("{{ ns.x is eq(ns.y) }}"),
    "billion laughs found": _laughs("{{ [ns.x].index(ns.y) }}"),
    "billion laughs unique": _laughs("{{ [ns.x, ns.y] | unique | list }}"),
    "billion laughs hashed": _hashed("{{ {ns.x: 1} }}"),
    "billion laughs looked up": _hashed("{{ {}[ns.x] }}"),
    "billion laughs got": _hashed("{{ {}.get(ns.x) }}"),
    "billion laughs in": _hashed("{{ ns.x in {} }}"),
    "own list": "{% set x = [] %}" + _loop("{% set _ = x.append(x) %}") + "{{ x }}",
    "appending for ever": "{% set x = [1] %}{% for i in x %}{% set _ = x.append(i) %}{% endfor %}",
    "hoarding": "{% set x = [] %}{% set big = 'x' * 3000000 %}" + _loop("{% set _ = x.append(big ~ i) %}"),
    "hoarding copies": "{% set x = [] %}{% set big = range(99999) | list %}"
    + _loop("{% set _ = x.append(big[0:]) %}"),
    "hoarding literals": "{% set x = [] %}" + _loop("{% set _ = x.append([" + "[i]," * 1500 + "]) %}"),
    "output": "{% set big = 'x' * 3000000 %}" + _loop("{{ big }}"),
    "literal output": _loop("x" * 100_000),
    "literal in a macro": "{% macro m() %}" + _loop("x" * 100_000) + "{% endmacro %}{{ m() }}",
    "center": "{{ 'x'.center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "center filter": "{{ 'x' | center(10**9) }}",
    "indent": "{{ ('\n' * 1000) | indent(10**9) }}",
    "indent by text": "{{ ('\n' * 1000000) | indent('x' * 900) }}",
    "json indent": "{{ [[1]] | tojson(indent=10**9) }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "percent star": "{{ '%*d' % (10**9, 1) }}",
    "percent filter": "{{ '%999999999s' | format('x') }}",
    "format width": "{{ '{:1000000000}'.format(1) }}",
    "format nested": "{{ '{:{}}'.format(1, 10**9) }}",
    "round": "{{ 1.5 | round(10**9, 'ceil') }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slice": "{{ [1] | slice(10**9) | list }}",
    "sum": "{{ [[1]] | sum(start=[]) }}",
    "long attribute": "{{ range(99999) | map(attribute='a' ~ '.a' * 99999) | list }}",
    "sort": _loop("{% set x = range(99999) | sort | list %}"),
    "search": "{% set a = 'a' * 3900000 %}" + _loop("{% if 'b' in a %}{% endif %}"),
    "search by method": "{% set a = 'a' * 3900000 %}" + _loop("{% set _ = a.find('b') %}"),
    "date": "{{ strftime_now('%999999999d') }}",
    "dates": _loop(_loop("{{ strftime_now('%c') }}")),
    "json for ever": "{% set x = range(50000) | list %}" + _loop("{% set _ = x | tojson %}"),
    "deep literal": "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "deep parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "deep loops": "{% for a in [1] %}" * 60 + "{% endfor %}" * 60,
    "long chain": "{{ 1" + " + 1" * 10000 + " }}",
    "long attributes": "{{ a" + ".a" * 10000 + " }}",
    "constant": "{{ ('x' | center(99999)) * 99999 }}",
    "block recursion": "{% block a %}{{ self.a() }}{% endblock %}",
    "too long": " " * 131_073,
}
