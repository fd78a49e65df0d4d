"""The settings themselves, by group: labels, help, bounds and defaults live here (and in ``engine_settings``) only."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.core.generate import ContextPolicy

_Port = Annotated[
    int,
    Meta(ge=0, le=65535, title="Port", description="Where programs find the server; 0 takes any free port."),
]


class General(Struct, frozen=True, kw_only=True):
    """How the window looks and speaks."""

    language: Annotated[
        Literal["system", "en", "vi"],
        Meta(title="Language", description="Changes at once, without a restart."),
    ] = "system"
    theme: Annotated[
        Literal["system", "light", "dark", "contrast-light", "contrast-dark"],
        Meta(title="Theme", description="System follows your desktop, high contrast too."),
    ] = "system"
    zoom: Annotated[
        int,
        Meta(
            ge=75,
            le=200,
            title="Zoom",
            description="In percent, for the whole window; Ctrl + and Ctrl - too.",
        ),
    ] = 100
    level: Annotated[
        Literal["simple", "full", "developer"],
        Meta(
            title="How much is shown",
            description="Simple: ask and answer. Full: models, server, figures. Developer: raw texts and all else.",
        ),
    ] = "full"
    reduced_motion: Annotated[
        bool,
        Meta(
            title="Reduce motion",
            description="Nothing slides or fades, and the caret does not blink; so too when your system asks for it.",
        ),
    ] = False
    notify: Annotated[
        bool,
        Meta(
            title="Notifications",
            description="When a long answer or a download ends and Hearth is not in front.",
        ),
    ] = True
    tray: Annotated[
        bool,
        Meta(
            title="Icon in the tray",
            description="Quick questions and the server's state, where there is one.",
        ),
    ] = True
    close_to_tray: Annotated[
        bool,
        Meta(
            title="Closing goes to the tray",
            description="Hearth goes on working when its last window is closed; quit from the tray or the menu.",
        ),
    ] = False
    quick_key: Annotated[
        str,
        Meta(
            title="Quick ask from anywhere",
            description="A key for every program, on X11, Windows and Wayland, which asks you first when you change it "
            "here; on macOS use the tray. Empty: none.",
        ),
    ] = "Ctrl+Alt+Space"
    quick_key_agreed: Annotated[str, Meta(extra={"hidden": True})] = ""
    """The key that the desktop's own dialog gave last: a desktop that asks is not asked for another by itself."""
    shortcuts: Annotated[dict[str, str], Meta(extra={"hidden": True})] = {}
    """Keys the user changed, by the command's name; an empty text takes its key away."""
    welcomed: Annotated[bool, Meta(extra={"hidden": True})] = False
    last_model: Annotated[str, Meta(extra={"hidden": True})] = ""
    stores_offered: Annotated[str, Meta(extra={"hidden": True})] = ""
    """Other programs' folders that the Library has offered to read: one is offered once."""


class Hub(Struct, frozen=True, kw_only=True):
    """Where models come from."""

    endpoint: Annotated[
        str,
        Meta(
            title="Hub address",
            description="Empty: HF_ENDPOINT, else the Hugging Face Hub. A mirror's address works.",
        ),
    ] = ""
    mirrors: Annotated[
        str,
        Meta(
            title="Mirrors",
            description="Further addresses, asked when they are quicker or the Hub is away; never with your token.",
        ),
    ] = ""
    proxy: Annotated[
        str,
        Meta(
            title="Proxy",
            description="Empty: the system's. none: no proxy. Or http://user:password@host:port.",
        ),
    ] = ""
    ca_file: Annotated[
        str,
        Meta(
            title="Certificates", description="A file (PEM) with certificates to trust besides the system's."
        ),
    ] = ""


class Downloads(Struct, frozen=True, kw_only=True):
    """How files are fetched."""

    parallel: Annotated[
        int, Meta(ge=1, le=8, title="Downloads at a time", description="More rarely makes it faster.")
    ] = 2
    connections: Annotated[
        int,
        Meta(
            ge=1, le=16, title="Connections for each file", description="More helps where each one is slow."
        ),
    ] = 4
    speed_limit: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            title="Speed limit",
            description="kB per second, all downloads together; 0: none.",
        ),
    ] = 0
    hours: Annotated[
        str, Meta(title="Hours", description="Download only then, as 22:00-07:00; empty is always.")
    ] = ""
    method: Annotated[
        Literal["auto", "http", "xet"],
        Meta(
            title="Way of fetching",
            description="auto takes Xet from the Hub itself and plain HTTP from mirrors.",
        ),
    ] = "auto"
    keep_awake: Annotated[
        bool, Meta(title="Keep the computer awake", description="While something is downloading.")
    ] = True


class Chat(Struct, frozen=True, kw_only=True):
    """How answers are written."""

    temperature: Annotated[
        float,
        Meta(
            ge=0,
            le=5,
            title="Temperature",
            description="0 always picks the likeliest token; higher is more varied.",
        ),
    ] = 0.8
    top_p: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="Top P",
            description="Only the likeliest tokens that add up to this share are considered.",
        ),
    ] = 0.95
    max_tokens: Annotated[
        int,
        Meta(
            ge=0,
            le=1048576,
            title="Longest answer",
            description="In tokens; 0 lets it run to the end of the context.",
        ),
    ] = 0
    system_prompt: Annotated[
        str, Meta(title="System prompt", description="Put before every new chat.", extra={"multiline": True})
    ] = ""
    context_policy: Annotated[
        ContextPolicy,
        Meta(
            title="When the context is full",
            description="What a chat no longer tells the model when it is too long; each chat may choose its own.",
        ),
    ] = "rolling"
    write_titles: Annotated[
        bool,
        Meta(
            title="Titles by the model",
            description="After its first answer the model names the chat; off keeps the question's first words.",
        ),
    ] = True
    logprobs: Annotated[
        int,
        Meta(
            ge=0,
            le=20,
            title="Token probabilities",
            description="Keep each token's probability and this many alternatives; 0 keeps none, and is quicker.",
        ),
    ] = 0
    enter_sends: Annotated[
        bool, Meta(title="Enter sends", description="Shift+Enter then starts a new line; off swaps the two.")
    ] = True


class Server(Struct, frozen=True, kw_only=True):
    """The local API server."""

    host: Annotated[
        str,
        Meta(
            title="Address",
            description="127.0.0.1 answers this machine only; 0.0.0.0 answers the whole network.",
        ),
    ] = "127.0.0.1"
    port: _Port = 8177
    api_key: Annotated[
        str,
        Meta(
            title="API key",
            description="When set, clients must send it. Set one before you answer the network.",
            extra={"secret": True},
        ),
    ] = ""
    autostart: Annotated[
        bool, Meta(title="Start with Hearth", description="The server is on whenever the window is.")
    ] = False
    aliases: Annotated[
        str,
        Meta(
            title="Other names for models",
            description="One a line: the name a client asks for = a model here. A * stands for anything.",
            extra={"multiline": True},
        ),
    ] = ""
    origins: Annotated[
        str,
        Meta(
            title="Allowed web pages",
            description="One origin a line, as https://chat.example; pages of this machine are always allowed.",
            extra={"multiline": True},
        ),
    ] = ""
    max_waiting: Annotated[
        int,
        Meta(
            ge=0,
            le=10000,
            title="Waiting requests",
            description="For each model, beyond those being answered; more are told to come back later.",
        ),
    ] = 32
    rate_limit: Annotated[
        int,
        Meta(ge=0, le=1000000, title="Requests a minute", description="For each key; 0 sets no limit."),
    ] = 0
    log_prompts: Annotated[
        bool,
        Meta(
            title="Show prompts in the log",
            description="The log of requests then shows the beginning of what was asked. It is never written to disk.",
        ),
    ] = False
    timeout: Annotated[
        int,
        Meta(
            ge=0,
            le=86400,
            title="Longest request",
            description="In seconds; it is then cut short. 0 lets it take as long as it needs.",
        ),
    ] = 0
    grace: Annotated[
        int,
        Meta(
            ge=0,
            le=600,
            title="Time to finish",
            description="Seconds that answers being written get when the server stops.",
        ),
    ] = 5
    tls_certificate: Annotated[
        str,
        Meta(
            title="Certificate file",
            description="A certificate (PEM) makes the server answer https; empty for http.",
        ),
    ] = ""
    tls_key: Annotated[
        str,
        Meta(
            title="Certificate's key file",
            description="The private key (PEM) that belongs to the certificate.",
        ),
    ] = ""


OWN_TARIFF = "own"


class Energy(Struct, frozen=True, kw_only=True):
    """What electricity, hardware and hosted models cost; 0 is "not said"."""

    price: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            title="Price per kWh",
            description="Your own flat price, taxes included; 0 takes the tariff chosen on the Usage page.",
        ),
    ] = 0.0
    household: Annotated[
        float,
        Meta(
            ge=0,
            le=100_000,
            title="Household's use",
            description="kWh a month without Hearth: with stepped tariffs it decides which step comes next.",
        ),
    ] = 0.0
    watts: Annotated[
        float,
        Meta(
            ge=0,
            le=100_000,
            title="Watts under load",
            description="Only used where power can't be read; such figures are marked as entered. 0: not said.",
        ),
    ] = 0.0
    watts_idle: Annotated[
        float,
        Meta(
            ge=0,
            le=100_000,
            title="Watts when idle",
            description="What the machine draws without work; kept apart from what a request causes.",
        ),
    ] = 0.0
    hardware_price: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000_000,
            title="Hardware price",
            description="Counts its write-off, in the tariff's currency; 0 counts electricity alone.",
        ),
    ] = 0.0
    hardware_years: Annotated[
        float,
        Meta(ge=0.1, le=50, title="Years of use", description="Over which the hardware is written off."),
    ] = 4.0
    hardware_hours: Annotated[
        float,
        Meta(ge=0.1, le=24, title="Hours of work a day", description="How long it works on a usual day."),
    ] = 4.0
    exchange: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            title="Exchange rate",
            description="Units of your currency for one US dollar, which APIs are priced in; 0 takes the table's.",
        ),
    ] = 0.0
    tariff: Annotated[str, Meta(extra={"hidden": True})] = ""
    """Id of a tariff; empty: the one of the system's country, if there is one; ``own``: the price, in its currency or,
    as in ``own/us-average``, in a tariff's."""
    api: Annotated[str, Meta(extra={"hidden": True})] = ""
    """Id of the hosted model that the verdict compares with; empty: the first of the table."""

    @property
    def own_tariff(self) -> str:
        """The ``tariff`` by which ``price`` counts, in the currency of the one that was chosen before."""
        if self.tariff in ("", "none"):
            return OWN_TARIFF
        return self.tariff if self.tariff.partition("/")[0] == OWN_TARIFF else f"{OWN_TARIFF}/{self.tariff}"
