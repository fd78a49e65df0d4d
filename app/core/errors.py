# size: a class of a few lines for each error; one page shows them all
"""Every error a user can meet, each with a stable code, one sentence, and what to do next.

    HearthError
        UsageError                       usage
        SettingsError                    settings
        SettingsDamagedError             settings_damaged
        StorageError
            DiskFullError                disk_full
                SaveDiskFullError        save_disk_full
                LabDiskFullError         lab_disk_full
            ReadOnlyError                read_only
                ChosenReadOnlyError      chosen_read_only
            StoreDamagedError            store_damaged
                ChatsDamagedError        chats_damaged
            StoreNewerError              store_newer
            AlreadyRunningError          already_running
        ModelError
            ModelNotFoundError           model_not_found
            ModelAmbiguousError          model_ambiguous
            ModelInUseError              model_in_use
            WrongMagicError              wrong_magic
            TruncatedModelError          truncated_model
            BadHeaderError               bad_header
                BadMatrixError           bad_matrix
            UnsupportedModelError        unsupported_model
        HubError
            HubUnreachableError          hub_unreachable
            HubNotFoundError             hub_not_found
                HubNoSuchFileError       hub_no_such_file
            HubUnauthorizedError         hub_unauthorized
            HubGatedError                hub_gated
            HubRateLimitedError          hub_rate_limited
            HubServerError               hub_server
        TransferError
            TransferCancelledError       transfer_cancelled
            ChecksumError                checksum
            SourceChangedError           source_changed
            StalledError                 stalled
            TransferBusyError            transfer_busy
        EngineError
            EngineMissingError           engine_missing
            LoadFailedError              load_failed
            LoadCancelledError           load_cancelled
            OutOfMemoryError             out_of_memory
            WorkerCrashedError           worker_crashed
            PackCrashedError             pack_crashed
            NotLoadedError               not_loaded
            PromptTooLongError           prompt_too_long
            TemplateFailedError          template_failed
            BadConstraintError           bad_constraint
            BusyError                    busy
            BadRequestError              bad_request
                LabRefusedError          lab_refused
                UnknownTypeError         unknown_type
                ConverterMissingError    converter_missing
                NotConvertibleError      not_convertible
                NeedsMatrixError         needs_matrix
                ForeignMatrixError       foreign_matrix
                TargetTakenError         target_taken
                NoRecipeError            no_recipe
                RecipeSourceError        recipe_source
                RecipeMatrixError        recipe_matrix
                    NoRecipeMatrixError  no_recipe_matrix
                RecipeBytesError         recipe_bytes
            BadImageError                bad_image
            NoEyesError                  no_eyes
            MeasuringError               measuring_failed
            PackRefusedError             pack_refused
            QuantizeFailedError          quantize_failed
            TextTooShortError            text_too_short
            LabStoppedError              lab_stopped
            InternalError                internal
        ServerError
            PortInUseError               port_in_use
            BindError                    bind_failed
        UpdateError                      update
            NoUpdateAddressError         update_address
            UpdateKeyError               update_key
            UpdateUnreachableError       update_unreachable
            UpdateListError              update_list
            UpdateSignatureError         update_signature
            UpdateReplayedError          update_replayed
            UpdateOlderError             update_older
            UpdateTooFarError            update_too_far
            NoUpdateFileError            update_no_file
            UpdateFileError              update_file
            UpdateFolderError            update_folder
            UpdateFailedError            update_failed
            UpdateFormError              update_form
            NoPreviousVersionError       update_no_previous

The texts are templates over ``params``; ``app.ui.errors`` holds their Vietnamese. ``action`` names the button that
does the next step; the window maps it to a command.
"""

from typing import ClassVar

Param = str | int | float


class HearthError(Exception):
    """Base of all: ``str(error)`` is the English sentence, ``code`` is stable across versions and languages."""

    code: ClassVar[str] = "error"
    template: ClassVar[str] = "{detail}"
    hint: ClassVar[str] = ""
    action: ClassVar[str] = ""

    def __init__(self, **params: Param) -> None:
        self.params = params
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The English sentence, followed by the hint when there is one."""
        text = fill(self.template, self.params)
        return f"{text} {fill(self.hint, self.params)}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.params))


class _Missing(dict[str, Param]):
    def __missing__(self, key: str) -> str:
        return f"({key})"


def fill(template: str, params: dict[str, Param]) -> str:
    """Put ``params`` into ``template``; a missing one shows as its name and never raises."""
    return template.format_map(_Missing(params))


def _rebuild(kind: type[HearthError], params: dict[str, Param]) -> HearthError:
    return kind(**params)


class UsageError(HearthError):
    code = "usage"


class SettingsError(HearthError):
    code = "settings"
    template = "The setting {key} can't be {value}: {detail}."
    action = "settings"


class SettingsDamagedError(HearthError):
    code = "settings_damaged"
    template = "The settings file {path} can't be read."
    hint = "What it held is kept in {kept}; the settings are as on the first day."


class StorageError(HearthError):
    code = "storage"


class DiskFullError(StorageError):
    code = "disk_full"
    template = "There is no room on the disk that holds {path}: {missing} more are needed."
    hint = "Free some space; it goes on by itself."
    action = "free_space"


class SaveDiskFullError(DiskFullError):
    """Of what was asked once and is not tried again by itself, unlike a download."""

    code = "save_disk_full"
    hint = "Free some space, then try again."


class LabDiskFullError(DiskFullError):
    code = "lab_disk_full"
    hint = "Free some space, then try again."


class ReadOnlyError(StorageError):
    code = "read_only"
    template = "Nothing can be written in {path}."
    hint = "Give yourself the right to write there, or start Hearth with HEARTH_HOME set to another folder."
    action = "choose_folder"


class ChosenReadOnlyError(ReadOnlyError):
    """Of a place that a person chose for one file: it is not Hearth's own."""

    code = "chosen_read_only"
    hint = "Choose another folder, or give yourself the right to write there."


class StoreDamagedError(StorageError):
    code = "store_damaged"
    template = "The file {path} is damaged: {detail}."
    hint = "It was opened read-only so that nothing more is lost."
    action = "open_folder"


class ChatsDamagedError(StoreDamagedError):
    code = "chats_damaged"
    action = "repair_chats"


class StoreNewerError(StorageError):
    code = "store_newer"
    template = "The file {path} was written by a newer Hearth (format {found}, this one knows {known})."
    hint = "Update Hearth to open it."
    action = "update"


class AlreadyRunningError(StorageError):
    code = "already_running"
    template = "Hearth is already running with the folder {path}."
    hint = "Use that window, or set HEARTH_HOME to another folder."
    action = "raise_window"


class ModelError(HearthError):
    code = "model"


class ModelNotFoundError(ModelError):
    code = "model_not_found"
    template = "No model here is called {name}."
    hint = "Look at what is on this machine, or search for it."
    action = "search"


class ModelAmbiguousError(ModelError):
    code = "model_ambiguous"
    template = "{name} could be any of these: {matches}."
    hint = "Write more of the name."


class ModelInUseError(ModelError):
    code = "model_in_use"
    template = "{name} is loaded."
    hint = "Unload it first."
    action = "unload"


class WrongMagicError(ModelError):
    code = "wrong_magic"
    template = "{path} is not a GGUF model file (it begins with {found})."
    hint = "Choose a file that ends in .gguf."
    action = "search"


class TruncatedModelError(ModelError):
    code = "truncated_model"
    template = "{path} is cut short: it has {found} bytes and its header promises {expected}."
    hint = "Download it again."
    action = "download_again"


class BadHeaderError(ModelError):
    code = "bad_header"
    template = "The header of {path} can't be read: {detail}."
    hint = "Download it again."
    action = "download_again"


class BadMatrixError(BadHeaderError):
    code = "bad_matrix"
    template = "{path} can't be used as an importance matrix: {detail}."
    hint = "Choose a file that llama-imatrix or this program wrote, or compute one from a text."
    action = ""


class UnsupportedModelError(ModelError):
    code = "unsupported_model"
    template = "{path} can't be used here: {detail}."
    action = "search"


class HubError(HearthError):
    code = "hub"
    template = "The Hub answered with an error: {detail}."
    action = "retry"


class HubUnreachableError(HubError):
    code = "hub_unreachable"
    template = "{host} can't be reached: {detail}."
    hint = "Check the network or the proxy; models on this machine still work."


class HubNotFoundError(HubError):
    code = "hub_not_found"
    template = "{what} is not on the Hub."
    hint = "It may have been moved, or be private."
    action = "search"


class HubNoSuchFileError(HubNotFoundError):
    code = "hub_no_such_file"
    template = "{repo} has no {wanted}. There is: {found}."
    hint = "Choose one of these."


class HubUnauthorizedError(HubError):
    code = "hub_unauthorized"
    template = "The Hub refused access to {what}."
    hint = "Sign in with a token that may read it."
    action = "add_token"


class HubGatedError(HubError):
    code = "hub_gated"
    template = "{what} asks you to accept its licence first."
    hint = "Accept it on its page; the download then goes on."
    action = "open_license"


class HubRateLimitedError(HubError):
    code = "hub_rate_limited"
    template = "The Hub asks us to wait {seconds} s before the next request."
    hint = "Try again then."


class HubServerError(HubError):
    code = "hub_server"
    template = "The Hub has a problem of its own (HTTP {status})."
    hint = "Try again in a moment."


class TransferError(HearthError):
    code = "transfer"
    template = "The download broke: {detail}."
    action = "retry"


class TransferCancelledError(TransferError):
    code = "transfer_cancelled"
    template = "The download was stopped."


class ChecksumError(TransferError):
    code = "checksum"
    template = "{path} came with wrong bytes (sha256 {found}, expected {expected})."
    hint = "Download it again."
    action = "download_again"


class SourceChangedError(TransferError):
    code = "source_changed"
    template = "{path} changed on the Hub while it was downloading."
    hint = "It starts again with the new version."


class StalledError(TransferError):
    code = "stalled"
    template = "No bytes came for {seconds} s."
    hint = "It reconnects by itself."


class TransferBusyError(TransferError):
    code = "transfer_busy"
    template = "Another Hearth is downloading {path} already."
    hint = "It goes on here when that one stops."
    action = ""


class EngineError(HearthError):
    code = "engine"
    template = "The engine stopped: {detail}."
    action = "load_again"


class EngineMissingError(EngineError):
    code = "engine_missing"
    template = "The engine (llama.cpp) can't be started: {detail}."
    hint = "Install Hearth again."


class LoadFailedError(EngineError):
    code = "load_failed"
    template = "{model} could not be loaded: {detail}."
    action = "load_options"


class LoadCancelledError(EngineError):
    code = "load_cancelled"
    template = "Loading {model} was stopped."


class OutOfMemoryError(EngineError):
    code = "out_of_memory"
    template = "There is not enough memory for {model}: {detail}."
    hint = "Use less context, fewer GPU layers, or a smaller quant."
    action = "load_options"


class WorkerCrashedError(EngineError):
    code = "worker_crashed"
    template = "The engine of {model} died ({why})."
    hint = "What was written so far is kept. Load it again to go on."


class PackCrashedError(EngineError):
    code = "pack_crashed"
    template = "The engine of {model} died ({why}) for the second time in a row on the pack {pack}, which is off now."
    hint = "Load it again to go on without the pack. Settings > Engines goes back to the pack before."


class NotLoadedError(EngineError):
    code = "not_loaded"
    template = "{model} is not loaded."
    hint = "Load it first."


class PromptTooLongError(EngineError):
    code = "prompt_too_long"
    template = "The prompt has {tokens} tokens and the context holds {limit}."
    hint = "Shorten it, load with more context, or let old messages be dropped."
    action = "load_options"


class TemplateFailedError(EngineError):
    code = "template_failed"
    template = "The model's chat template failed: {detail}."
    hint = "Load it with another template."
    action = "load_options"


class BadConstraintError(EngineError):
    code = "bad_constraint"
    template = "The answer's format can't be enforced: {detail}."
    action = ""


class BusyError(EngineError):
    code = "busy"
    template = "{model} has {waiting} requests waiting already."
    hint = "Try again in a moment."
    action = "retry"


class BadRequestError(EngineError):
    code = "bad_request"
    template = "The request can't be served: {detail}."
    action = ""


class LabRefusedError(BadRequestError):
    code = "lab_refused"
    template = "The lab can't do this: {detail}."


class UnknownTypeError(BadRequestError):
    code = "unknown_type"
    template = "{type} is not a type that llama.cpp can write."
    hint = "It can write {known}."


class ConverterMissingError(BadRequestError):
    code = "converter_missing"
    template = (
        "Original weights are converted first, which needs an environment of its own: it is not set up here."
    )
    hint = "The Lab page or hearth lab setup makes it."


class NotConvertibleError(BadRequestError):
    code = "not_convertible"
    template = "{folder} can't be converted: {detail}."


class NeedsMatrixError(BadRequestError):
    code = "needs_matrix"
    template = "{type} needs an importance matrix."
    hint = "Compute one from a text, or give a finished one (--imatrix)."


class ForeignMatrixError(BadRequestError):
    code = "foreign_matrix"
    template = "The matrix {matrix} belongs to another model than {model}."
    hint = "Compute one with this model, or choose another file."


class TargetTakenError(BadRequestError):
    code = "target_taken"
    template = "{file} is being written by another job, or waits for one in the lab's queue already."
    hint = "Wait for it, or take another name."


class NoRecipeError(BadRequestError):
    code = "no_recipe"
    template = "{file} is no recipe of a quant: {detail}."


class RecipeSourceError(BadRequestError):
    code = "recipe_source"
    template = "{file} is not the source of the recipe ({name})."
    hint = "Choose the file whose SHA-256 the recipe names."


class RecipeMatrixError(BadRequestError):
    code = "recipe_matrix"
    template = "{file} is not the matrix of the recipe ({name})."
    hint = "Choose the file whose SHA-256 the recipe names (--imatrix)."


class NoRecipeMatrixError(RecipeMatrixError):
    code = "no_recipe_matrix"
    template = "The recipe needs the importance matrix {name}, which was not found here."


class RecipeBytesError(BadRequestError):
    code = "recipe_bytes"
    template = "{file} came out with other bytes than the recipe's and was removed."
    hint = "The recipe was made with {theirs}, this is {ours}: another llama.cpp can make other bytes."


class BadImageError(EngineError):
    code = "bad_image"
    template = "Image {number} can't be shown to the model: {detail}."
    hint = "Leave it out, or save it anew as PNG or JPEG."
    action = ""


class NoEyesError(EngineError):
    code = "no_eyes"
    template = "{model} can't see images: {detail}."
    hint = "Take a model with a vision projector (an mmproj file beside it), or leave the images out."
    action = ""


class MeasuringError(EngineError):
    code = "measuring_failed"
    template = "The speed of {device} could not be measured: {detail}."
    hint = "Close other programs and try again; hearth doctor names what is wrong with a driver."


class PackRefusedError(EngineError):
    code = "pack_refused"
    template = "The engine pack {path} is not used: {detail}."


class QuantizeFailedError(EngineError):
    code = "quantize_failed"
    template = "{model} could not be quantized: {detail}."
    hint = "The source is as it was, and nothing half was left behind."


class TextTooShortError(EngineError):
    code = "text_too_short"
    template = "{file} has {tokens} tokens; at least {needed} are needed."
    hint = "Take a longer text: about 4 characters make a token."


class LabStoppedError(EngineError):
    code = "lab_stopped"
    template = "The work on {model} ended without a result: {detail}."
    hint = "Try again; a matrix goes on where it was, the rest starts anew."


class InternalError(EngineError):
    code = "internal"
    template = "Something went wrong inside the engine: {detail}."


class UpdateError(HearthError):
    code = "update"


class NoUpdateAddressError(UpdateError):
    code = "update_address"
    template = "No address for updates is set, so nothing was looked for."
    hint = "Enter one in the settings under Updates, with the public key that belongs to it."
    action = "update_settings"


class UpdateKeyError(UpdateError):
    code = "update_key"
    template = "There is no public key to check updates with: {detail}."
    hint = "Enter the one that the address's owner names (Ed25519, in base64) in the settings under Updates."
    action = "update_settings"


class UpdateUnreachableError(UpdateError):
    code = "update_unreachable"
    template = "{host} did not give what was asked for: {detail}."
    hint = "Hearth stays as it is. Check the network and the address, and try again."


class UpdateListError(UpdateError):
    code = "update_list"
    template = "What {host} answered is no list of updates: {detail}."
    hint = "Hearth stays as it is. Check the address in the settings."
    action = "update_settings"


class UpdateSignatureError(UpdateError):
    code = "update_signature"
    template = (
        "The list of updates from {host} is not signed by the key that you trust: nothing of it was used."
    )
    hint = "Somebody may have changed it, or its owner has a new key; ask them before you change yours."


class UpdateReplayedError(UpdateError):
    code = "update_replayed"
    template = "{host} gave an older list of updates ({found}) than one that was seen before ({known})."
    hint = "It was not used: somebody may be holding a newer one back."


class UpdateOlderError(UpdateError):
    code = "update_older"
    template = "{host} offers Hearth {found}, which is older than this one ({known}): it was not taken."
    hint = "To go back to the version before this one, roll back."


class UpdateTooFarError(UpdateError):
    code = "update_too_far"
    template = "Hearth {found} can't be installed over {known}: it needs {minimum} or newer there."
    hint = "Install {minimum} first, or the new one by its own installer; models and chats stay."


class NoUpdateFileError(UpdateError):
    code = "update_no_file"
    template = "Hearth {found} has no file for this system ({system}, as {form})."
    hint = "Hearth stays as it is."


class UpdateFileError(UpdateError):
    code = "update_file"
    template = "The update {path} can't be used: {detail}."
    hint = "It was removed and nothing else was changed; download it again."


class UpdateFolderError(UpdateError):
    code = "update_folder"
    template = "Hearth is installed in {path}, which you may not write to."
    hint = "Nothing was changed. Update it as the person who installed it."


class UpdateFailedError(UpdateError):
    code = "update_failed"
    template = "Installing did not work: {detail}."
    hint = "The present version is still in place."


class UpdateFormError(UpdateError):
    code = "update_form"
    template = (
        "This copy of Hearth was not made by one of its installers ({path}), so it can't replace itself."
    )
    hint = "Get the new version the way you got this one."


class NoPreviousVersionError(UpdateError):
    code = "update_no_previous"
    template = "No earlier version is kept here, so there is nothing to go back to."


class ServerError(HearthError):
    code = "server"


class PortInUseError(ServerError):
    code = "port_in_use"
    template = "Port {port} is used by another program."
    hint = "Port {free} is free."
    action = "use_free_port"


class BindError(ServerError):
    code = "bind_failed"
    template = "The server can't listen on {host}:{port}: {detail}."
    action = "server_settings"


def _tree(kind: type[HearthError]) -> list[type[HearthError]]:
    found = [kind]
    for child in kind.__subclasses__():
        found += _tree(child)
    return found


def all_errors() -> dict[str, type[HearthError]]:
    """Every error class by its code."""
    return {kind.code: kind for kind in _tree(HearthError)}


def from_code(code: str, params: dict[str, Param]) -> HearthError:
    """Rebuild an error that crossed a process or a socket; an unknown code becomes an InternalError."""
    kind = all_errors().get(code)
    return kind(**params) if kind else InternalError(detail=str(params.get("detail", code)))
