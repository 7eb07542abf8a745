"""The values of one server's options, and CONFIG GET and SET over them.

Values are read as attributes: ``config.maxmemory`` is an ``int``. They change by ``set`` only, which is all or
nothing: every word is read first, then the hooks of the changed options run, and if one of them refuses, all values
go back and the hooks that had run are run again. Whoever needs a value often keeps it and asks to be told by
``on_change``.

Invariant: between two calls each value has passed its option's own checks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kvorum import errors
from kvorum.config.kinds import Option, ValueRefusedError, raw, text
from kvorum.config.options import BY_NAME, OPTIONS, Allowed, Options
from kvorum.config.rewrite import rewrite_file
from kvorum.errors import CommandError
from kvorum.glob import Glob, has_wildcards

T = TypeVar("T")

# Called with the Config after its values were changed; refuses them by raising ValueRefusedError.
Hook = Callable[["Config"], None]


class Config(Options):
    """The options of one server. Made by ``kvorum.config.load`` or, for programs, by ``Config.of``."""

    def __init__(self, values: Mapping[str, object] | None = None, file: Path | None = None) -> None:
        """``values``: by attribute name, already checked. ``file``: what CONFIG REWRITE rewrites, if anything."""
        for option in OPTIONS:
            self.__dict__[option.attribute] = option.initial()
        self.__dict__.update(values or {})
        self._file = file
        self._hooks: dict[str, list[Hook]] = {}
        self._initial = self._values(OPTIONS)

    @classmethod
    def of(cls, **settings: str | bytes | float | Path | Sequence[object] | None) -> Config:
        """From keyword arguments: ``Config.of(port=0, maxmemory="1gb", save="", bind=["127.0.0.1"])``.

        Raises ValueRefusedError with the option's name, TypeError for unknown names.
        """
        config = cls()
        for attribute, setting in settings.items():
            option = BY_NAME.get(attribute.replace("_", "-")) or BY_NAME.get(attribute)
            if option is None:
                raise TypeError(f"unknown option {attribute!r}")
            try:
                value = option.read(_words_of(setting), config._value(option))
            except ValueRefusedError as error:
                raise ValueRefusedError(f"{option.name}: {error}") from None
            config.__dict__[option.attribute] = value
        config._initial = config._values(OPTIONS)
        return config

    @property
    def file(self) -> Path | None:
        """The configuration file, absolute, if the server was started with one."""
        return self._file

    def __getitem__(self, name: str) -> Any:
        """The value of an option by its name or an alias."""
        return self._value(BY_NAME[name.lower()])

    def get(self, patterns: Iterable[bytes]) -> dict[bytes, bytes]:
        """CONFIG GET: names as asked for, or as found by patterns (aliases are names, too), with their values."""
        found: dict[str, tuple[bytes, Option[Any]]] = {}
        for pattern in patterns:
            if has_wildcards(pattern):
                matches = Glob(pattern, ignore_case=True).matches
                for option in OPTIONS:
                    names = () if option.hidden else (option.name, *option.aliases)
                    for name in names:
                        if matches(raw(name)):
                            found.setdefault(name, (raw(name), option))
            else:
                named = BY_NAME.get(text(pattern).lower())
                if named is not None:
                    found.setdefault(text(pattern).lower(), (pattern, named))
        return {name: raw(option.format(self._value(option))) for name, option in found.values()}

    def set(self, pairs: Sequence[tuple[bytes, bytes]], *, local: bool = False, loading: bool = False) -> None:
        """CONFIG SET: all or nothing; raises CommandError in Redis' words.

        ``local``: the client is on this machine. ``loading``: the data set is being loaded.
        """
        options = self._settable([name for name, _ in pairs], local, loading)
        before = self._values(options)
        changed: list[Option[Any]] = []
        for option, (_, word) in zip(options, pairs, strict=True):
            try:
                value = option.read(_words_of_argument(option, word), self._value(option))
            except ValueRefusedError as error:
                self.__dict__.update(before)
                raise CommandError(errors.config_set_failed(raw(option.name), raw(str(error)))) from None
            if value != self._value(option):
                self.__dict__[option.attribute] = value
                changed.append(option)
        self._apply(changed, before)

    def on_change(self, name: str, hook: Hook) -> None:
        """Have ``hook`` called after the option changed; one hook given for several options is called once per change.

        It may refuse by raising ValueRefusedError(reason). All values are then put back, and it and the hooks that ran
        before it are called once more, with the old values.
        """
        self._hooks.setdefault(BY_NAME[name].name, []).append(hook)

    def rewrite(self, force_all: bool = False) -> None:
        """CONFIG REWRITE: put the present values into the configuration file; raises CommandError.

        ``force_all`` writes every option, also those at their defaults.
        """
        if self._file is None:
            raise CommandError(errors.CONFIG_WITHOUT_FILE)
        try:
            rewrite_file(self._file, [(option, self._value(option)) for option in OPTIONS], force_all)
        except OSError as error:
            raise CommandError(errors.config_rewrite_failed(raw(error.strerror or str(error)))) from error

    def reset(self) -> None:
        """Give every option that CONFIG SET may change the value again that it had at start."""
        options = [option for option in OPTIONS if option.mutable]
        before = self._values(options)
        changed = [option for option in options if self._value(option) != self._initial[option.attribute]]
        for option in changed:
            self.__dict__[option.attribute] = self._initial[option.attribute]
        self._apply(changed, before)

    @staticmethod
    def is_sensitive(name: bytes) -> bool:
        """Whether the value given to this option has to stay out of logs, SLOWLOG and MONITOR."""
        option = BY_NAME.get(text(name).lower())
        return option is not None and option.sensitive

    def _value(self, option: Option[T]) -> T:
        value: T = self.__dict__[option.attribute]
        return value

    def _values(self, options: Iterable[Option[Any]]) -> dict[str, object]:
        return {option.attribute: self.__dict__[option.attribute] for option in options}

    def _settable(self, names: Sequence[bytes], local: bool, loading: bool) -> list[Option[Any]]:
        """The options of these names; refuses, for the first reason met, what CONFIG SET must not touch."""
        options: list[Option[Any]] = []
        for name in names:
            option = BY_NAME.get(text(name).lower())
            if option is None:
                raise CommandError(errors.config_unknown_option(name))
            if not option.mutable:
                raise CommandError(errors.config_set_failed(name, b"can't set immutable config"))
            if option.protected and not self._protected_allowed(local):
                raise CommandError(errors.config_set_failed(name, b"can't set protected config"))
            if option.denied_while_loading and loading:
                raise CommandError(errors.LOADING)
            if option in options:
                raise CommandError(errors.config_set_failed(name, b"duplicate parameter"))
            options.append(option)
        return options

    def _protected_allowed(self, local: bool) -> bool:
        allowed = self.enable_protected_configs
        return allowed is Allowed.YES or (allowed is Allowed.LOCAL and local)

    def _apply(self, changed: Sequence[Option[Any]], before: Mapping[str, object]) -> None:
        """Run the hooks of what changed; when one refuses, put everything back and run again those that had run."""
        hooks = self._hooks_of(changed)
        for count, (option, hook) in enumerate(hooks, start=1):
            try:
                hook(self)
            except ValueRefusedError as error:
                self.__dict__.update(before)
                for _, undone in hooks[:count]:
                    _run_again(undone, self)
                raise CommandError(errors.config_set_failed(raw(option.name), raw(str(error)))) from None

    def _hooks_of(self, changed: Sequence[Option[Any]]) -> list[tuple[Option[Any], Hook]]:
        hooks: list[tuple[Option[Any], Hook]] = []
        for option in changed:
            for hook in self._hooks.get(option.name, ()):
                if all(hook != other for _, other in hooks):
                    hooks.append((option, hook))
        return hooks


def _run_again(hook: Hook, config: Config) -> None:
    """Let a hook act on the values put back; that it refuses those, too, can only be reported by itself."""
    with contextlib.suppress(ValueRefusedError):
        hook(config)


def _words_of(setting: object) -> list[str]:
    """A Python value as the words that a file would have."""
    match setting:
        case None:
            return [""]
        case bool():
            return ["yes" if setting else "no"]
        case bytes():
            return [text(setting)]
        case str() | int() | float() | Path():
            return [str(setting)]
        case list() | tuple():
            return [word for item in setting for word in _words_of(item)] or [""]
    raise TypeError(f"not a value of an option: {setting!r}")


def _words_of_argument(option: Option[Any], word: bytes) -> list[str]:
    """The words of one argument of CONFIG SET: those of lists are split at each blank, without regard to quotes."""
    if not option.takes_many_words:
        return [text(word)]
    return text(word).split(" ") if word else []
