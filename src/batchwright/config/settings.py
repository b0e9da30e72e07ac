"""The one settings object: flags over environment over `batchwright.toml` over defaults.

The edges call `load_settings` once and pass the object on; nothing else reads the environment. Every field's
description completes the sentence "Give …": it is the remedy in the message of a value that cannot be used.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from batchwright.config import values
from batchwright.config.errors import Problem, SettingsError
from batchwright.config.secrets import HIDDEN, url_without_password, without_password
from batchwright.config.sources import (
    CONFIG_VARIABLE,
    FILE_NAME,
    Gathered,
    Given,
    Names,
    gather,
    settings_files,
    variable_of,
)

__all__ = [
    "CONFIG_VARIABLE",
    "FILE_NAME",
    "MailSettings",
    "Problem",
    "SettingLine",
    "Settings",
    "SettingsError",
    "load_settings",
    "login_name",
    "operating_system_user",
    "variable_of",
]

_URLS = ("database_url", "base_url", "executor", "mail.smtp_host")
DEFAULT = "default"
RUNS_AT_HAND = 4
"""Of so many runs a process of a pool keeps the job and the connection."""
MIN_LEASE_SECONDS = 0.1
"""Four beats and four looks a lease: below that nothing else would be done, and healthy owners look dead."""


@cache
def operating_system_user() -> str:
    """The login name this process runs under, by the password database: `USER` can be set to anything."""
    return login_name(os.getuid())


def login_name(uid: int) -> str:
    """The login name of that number; "uid-1000" where the password database has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def _directory(info: ValidationInfo) -> Path:
    context: Mapping[str, Path] = info.context or {}
    return context.get("directory", Path())


def _database_url(text: str, info: ValidationInfo) -> str:
    return values.database_url(text, _directory(info))


def _path(path: Path, info: ValidationInfo) -> Path:
    return _directory(info) / path


def _existing_directory(path: Path, info: ValidationInfo) -> Path:
    resolved = _path(path, info)
    if not resolved.is_dir():
        raise ValueError(f"there is no directory {resolved}")
    return resolved


def _not_a_truth_value(value: Any) -> Any:
    """TOML's `true` would otherwise count as the number 1."""
    if isinstance(value, bool):
        raise ValueError("is a truth value, not a number")
    return value


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


T = TypeVar("T")
Number = Annotated[T, BeforeValidator(_not_a_truth_value)]
Address = Annotated[str, AfterValidator(values.mail_address)]
ByteSize = Annotated[int, BeforeValidator(lambda value: values.byte_size(_required_text(value)))]


def _required_text(value: Any) -> str:
    text = _text_of_number(value)
    if not isinstance(text, str):
        raise ValueError("is not a size")
    return text


class _Model(BaseModel):
    # Defaults are validated so that a default path, too, is taken relative to the working directory.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class MailSettings(_Model):
    """How mail leaves: as `.eml` files, or through an SMTP server. `attachment_limit` is in bytes."""

    transport: Literal["file", "smtp"] = Field("file", description="'file' or 'smtp'")
    directory: Annotated[Path, AfterValidator(_path)] = Field(
        Path("mail"), description="the folder that mail is written to"
    )
    sender: Address = Field("batchwright@localhost", description="a mail address, such as jobs@example.com")
    templates: Annotated[Path, AfterValidator(_existing_directory)] | None = Field(
        None, description="a folder with templates of your own"
    )
    attachment_limit: ByteSize = Field(
        5_000_000, description="a size such as '5 MB', '500 kB' or '4 MiB', or a number of bytes"
    )
    smtp_host: Annotated[str, AfterValidator(values.host_name)] = Field(
        "localhost", description="the name or address of the mail server"
    )
    smtp_port: Number[int] = Field(
        25, ge=1, le=65535, description="a port from 1 to 65535, such as 25 or 587"
    )
    smtp_username: str | None = Field(None, description="the user name at the mail server")
    smtp_password: SecretStr | None = Field(None, description="the password together with mail.smtp_username")
    smtp_security: Literal["auto", "none", "starttls", "tls"] = Field(
        "auto", description="'auto', 'starttls', 'tls' or 'none'"
    )

    @field_validator("smtp_password")
    @classmethod
    def _password_has_a_user(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("smtp_username", "") is None:
            raise ValueError("is given without mail.smtp_username")
        return value


@dataclass(frozen=True)
class _LookedAt:
    """Where files of settings are looked for; settings that are the same are so wherever they come from."""

    files: tuple[Path, ...] = field(default=(), compare=False)


class Settings(_Model):
    """All settings, checked. `Settings()` has the defaults and reads neither file nor environment."""

    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "sqlite:///batchwright.db",
        repr=False,  # it may hold a password
        description="sqlite:///FILE for an embedded database, or postgresql+psycopg://USER@HOST/DATABASE",
    )
    mail: MailSettings = Field(default_factory=MailSettings, description="a table of mail settings")
    executor: Annotated[str, AfterValidator(values.executor)] = Field(
        "local", description="'local', 'inline' or dask://HOST:PORT (with a PostgreSQL database)"
    )
    actor: Annotated[str, AfterValidator(values.one_line)] = Field(
        default_factory=operating_system_user, description="the name or mail address of who acts"
    )
    actors: dict[str, Address] = Field(
        default_factory=dict, description="the mail address of that actor, such as jane@example.com"
    )
    max_active_runs: Number[int] = Field(5, ge=1, le=1_000_000, description="a whole number from 1")
    pool_size: Number[int] = Field(
        5, ge=1, le=10_000, description="a whole number of connections from 1, which a process keeps open"
    )
    max_overflow: Number[int] = Field(
        -1,
        ge=-1,
        le=10_000,
        description="a whole number of connections that a process may open beyond pool_size, or -1 for any number",
    )
    pool_timeout: Number[float] = Field(
        30.0,
        gt=0,
        le=3_600,
        allow_inf_nan=False,
        description="a number of seconds above 0 to wait for a connection, such as 30",
    )
    lease_seconds: Number[float] = Field(
        30.0,
        ge=MIN_LEASE_SECONDS,
        le=86_400,
        allow_inf_nan=False,
        description=f"a number of seconds from {MIN_LEASE_SECONDS:g}, such as 30",
    )
    scope_size: Number[int] | None = Field(
        None, ge=1, le=10**9, description="a whole number of records from 1"
    )
    error_ceiling: (
        Annotated[str, BeforeValidator(_text_of_number), AfterValidator(values.error_ceiling)] | None
    ) = Field(None, description="a number of errors such as 10, or a share of the records such as '5%'")
    base_url: Annotated[str, AfterValidator(values.web_address)] = Field(
        "http://127.0.0.1:8000", description="an address such as https://batchwright.example.com"
    )
    proxies: Annotated[
        tuple[Annotated[str, AfterValidator(values.ip_network)], ...], BeforeValidator(_comma_separated)
    ] = Field(
        (),
        description="addresses of the proxies in front of `serve` whose X-Forwarded-For and -Proto are believed,"
        " such as 10.0.0.5 or 10.0.0.0/24, in the environment comma separated",
    )
    time_zone: Annotated[str, AfterValidator(values.time_zone)] = Field(
        "UTC", description="an IANA name, such as Europe/Berlin or America/New_York"
    )
    label: Annotated[str, AfterValidator(values.one_line), Field(max_length=40)] | None = Field(
        None, description="what people call this database, such as Production, in at most 40 characters"
    )
    colour: Literal["grey", "red", "orange", "green", "teal", "blue", "purple", "pink"] = Field(
        "grey",
        description="'grey', 'red', 'orange', 'green', 'teal', 'blue', 'purple' or 'pink', the colour of label",
    )
    ping_private: bool = Field(
        False, description="true or false: whether schedules may ping services of your own network"
    )
    jobs: Annotated[
        tuple[Annotated[str, AfterValidator(values.import_path)], ...], BeforeValidator(_comma_separated)
    ] = Field(
        (), description="import paths such as my_package.my_job:MyJob, in the environment comma separated"
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _looked_at: _LookedAt = PrivateAttr(default_factory=lambda: _LookedAt())

    @field_validator("executor")
    @classmethod
    def _dask_needs_a_server_database(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith("dask://") and info.data.get("database_url", "").startswith("sqlite:"):
            raise ValueError("cannot work on an SQLite file, which the other machines do not see")
        return value

    @field_validator("max_overflow")
    @classmethod
    def _enough_connections(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("pool_size", 0) + value
        needed = max(info.data.get("max_active_runs", 0), RUNS_AT_HAND) + 1
        if value != -1 and most < needed:
            raise ValueError(
                f"allows {most} connections with pool_size, and {needed} are needed: one for each run"
            )
        return value

    @property
    def files(self) -> tuple[Path, ...]:
        """Where files of settings are looked for, there or not; none where the settings were not loaded."""
        return self._looked_at.files

    def exposed_secrets(self) -> list[Problem]:
        """Passwords in a settings file that every user of the machine may read."""
        return [
            Problem(
                name,
                origin,
                HIDDEN,
                f"every user of this machine may read {file}",
                f"Run `chmod o-r {file}`.",
            )
            for name, file, origin in self._secrets_in_files()
            if file.stat().st_mode & stat.S_IROTH
        ]

    def _secrets_in_files(self) -> Iterator[tuple[str, Path, str]]:
        for name, origin in self._origins.items():
            is_secret = name == "mail.smtp_password" or (
                name == "database_url" and url_without_password(self.database_url) != self.database_url
            )
            if is_secret and self.files and not origin.startswith(("environment", "--")):
                yield name, self.files[0], origin

    @property
    def console_url(self) -> str | None:
        """`base_url` where somebody gave it: at its default nothing answers as long as there is no console."""
        return self.base_url if "base_url" in self.model_fields_set else None

    def served_at(self, address: str) -> Settings:
        """The same for processes of a service that answers there: links lead to it unless a `base_url` was given."""
        if self.console_url is not None:
            return self
        served = self.model_copy(update={"base_url": address})
        served.model_fields_set.discard("base_url")
        return served

    @property
    def base_path(self) -> str:
        """The path of `base_url`, below which people see the service: "/billing"; empty where it has none."""
        return urlsplit(self.base_url).path

    def lines(self) -> tuple[SettingLine, ...]:
        """Every setting with its value as text and its origin, for `config show`. Passwords are hidden."""
        return tuple(_line(self, name) for name in _names_to_show(self))


@dataclass(frozen=True)
class SettingLine:
    """A line of `config show`: dotted name, value as text (`None` where none is set), where it came from."""

    name: str
    value: str | None
    origin: str


def _setting_names() -> Names:
    plain = [name for name in Settings.model_fields if name not in ("mail", "actors")]
    plain += [f"mail.{name}" for name in MailSettings.model_fields]
    return Names(plain=tuple(plain), maps=("actors",))


def load_settings(environ: Mapping[str, str], directory: Path, **flags: object) -> Settings:
    """The settings that flags, environment, file and defaults give, in this order of strength.

    Args:
        environ: the environment variables; `BATCHWRIGHT_CONFIG` names another file than `batchwright.toml`.
        directory: the working directory; relative paths and the file are looked up there.
        flags: values by setting name, `mail__transport` for a nested one; `None` means not given.

    Raises:
        SettingsError: with every problem of every source.
        TypeError: a flag that is not a setting.
    """
    directory = directory.absolute()
    gathered = gather(_setting_names(), environ, directory, flags)
    try:
        settings = Settings.model_validate(_nested(gathered), context={"directory": directory})
    except ValidationError as error:
        problems = [_problem(detail, gathered) for detail in error.errors(include_url=False)]
        raise SettingsError([*gathered.problems, *problems]) from None
    if gathered.problems:
        raise SettingsError(gathered.problems)
    settings._origins.update({name: given.origin for name, given in gathered.given.items()})
    settings._looked_at = _LookedAt(settings_files(environ, directory))
    return settings


def _nested(gathered: Gathered) -> dict[str, Any]:
    nested: dict[str, Any] = {"mail": {}}
    for name, given in gathered.given.items():
        head, dot, tail = name.partition(".")
        if dot:
            nested.setdefault(head, {})[tail] = given.value
        else:
            nested[head] = given.value
    return nested


def _problem(detail: ErrorDetails, gathered: Gathered) -> Problem:
    loc = [str(part) for part in detail["loc"]]
    depth = 2 if loc[0] in ("mail", "actors") else 1
    name = ".".join(loc[:depth])
    given = gathered.given.get(name, Given(detail["input"], DEFAULT))
    description = _field_info(name).description
    return Problem(
        setting=name,
        origin=given.origin,
        value=_hidden(name, given.value),
        reason=_reason(detail),
        remedy=f"Give {description}.",
    )


def _field_info(name: str) -> Any:
    head, _, tail = name.partition(".")
    return MailSettings.model_fields[tail] if head == "mail" and tail else Settings.model_fields[head]


def _reason(detail: ErrorDetails) -> str:
    """Pydantic's sentence ("Input should be …") as the rest of ours ("it should be …")."""
    message = without_password(detail["msg"].removeprefix("Value error, "))
    return message.replace("Input should", "it should", 1).replace("Input ", "it ", 1)


def _hidden(name: str, value: object) -> str:
    if name == "mail.smtp_password":
        return HIDDEN
    text = str(value)
    text = url_without_password(text) if name in _URLS else without_password(text)
    return repr(text) if text == "" or not text.isprintable() else text


def _names_to_show(settings: Settings) -> list[str]:
    names = _setting_names().plain
    return [*names, *(f"actors.{name}" for name in sorted(settings.actors))]


def _line(settings: Settings, name: str) -> SettingLine:
    head, dot, tail = name.partition(".")
    value: object = getattr(settings, head)
    if dot:
        value = settings.actors[tail] if head == "actors" else getattr(settings.mail, tail)
    return SettingLine(name, _text(name, value), settings._origins.get(name, _default_origin(name)))


def _default_origin(name: str) -> str:
    return "operating system's user" if name == "actor" else DEFAULT


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    shown: Callable[[Any], str] = {
        "mail.attachment_limit": values.shown_size,
        "mail.smtp_password": lambda _: HIDDEN,
        "database_url": url_without_password,
        "jobs": ", ".join,
        "proxies": ", ".join,
        "lease_seconds": "{:g}".format,
        "pool_timeout": "{:g}".format,
        "ping_private": lambda value: str(value).lower(),
    }.get(name, str)
    return without_password(shown(value)) if value != () else None
