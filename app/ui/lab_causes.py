"""Why the lab refused something, as ``app.optimize``, its process and llama.cpp's quantizer say it: sentences that
``causes`` knows and the translators see. A test reads the sources: one that is missing here fails it."""

from PySide6.QtCore import QT_TRANSLATE_NOOP

LAB = (
    # The quantizer: our own words, then llama.cpp's.
    QT_TRANSLATE_NOOP("Causes", "the result would replace its own source"),
    QT_TRANSLATE_NOOP("Causes", "there is no layer {layer} to prune: {name} has {count}"),
    QT_TRANSLATE_NOOP("Causes", "{name} is not PATTERN=TYPE, as in ffn_down=Q6_K"),
    QT_TRANSLATE_NOOP("Causes", "{pattern} is no pattern: {why}"),
    QT_TRANSLATE_NOOP("Causes", "no tensor of {name} is called like {pattern}"),
    QT_TRANSLATE_NOOP(
        "Causes", "its result could not be written after {size} MB: the disk, or a limit, is full"
    ),
    QT_TRANSLATE_NOOP("Causes", "unknown model architecture: '{name}'"),
    QT_TRANSLATE_NOOP(
        "Causes", "tensor '{name}' data is not within the file bounds, model is corrupted or incomplete"
    ),
    QT_TRANSLATE_NOOP("Causes", "failed to load model from {name}"),
    QT_TRANSLATE_NOOP("Causes", "no tensor type fallback is defined for type {type}"),
    QT_TRANSLATE_NOOP("Causes", "llama.cpp gave no reason"),
    QT_TRANSLATE_NOOP("Causes", "Missing importance matrix for tensor {name} in a very low-bit quantization"),
    QT_TRANSLATE_NOOP(
        "Causes", "its {what} is no number; the file is damaged, or the model can't compute this text"
    ),
    # Matrices, scores and prices.
    QT_TRANSLATE_NOOP("Causes", "it is no importance matrix"),
    QT_TRANSLATE_NOOP("Causes", "it is no importance matrix, or cut short"),
    QT_TRANSLATE_NOOP("Causes", "sums and counts don't belong together"),
    QT_TRANSLATE_NOOP("Causes", "the activations of {name} are not finite: the model is broken here"),
    QT_TRANSLATE_NOOP(
        "Causes",
        "a context of {count} tokens with a trained length of {trained} has no price: both must be {least} tokens or"
        " more",
    ),
    QT_TRANSLATE_NOOP("Causes", "a score writes a reference or is compared with one, not both"),
    QT_TRANSLATE_NOOP("Causes", "the reference was made from another text, or with another vocabulary"),
    QT_TRANSLATE_NOOP(
        "Causes", "its vocabulary has {count} tokens, the model's {other}: they can't be compared"
    ),
    QT_TRANSLATE_NOOP("Causes", "the reference is no file of log-probabilities"),
    QT_TRANSLATE_NOOP("Causes", "the reference ends too soon: make it again from the same text"),
    # Wishes.
    QT_TRANSLATE_NOOP("Causes", "{name} is no wish: write 5GB, 30t/s or kl 0.05"),
    QT_TRANSLATE_NOOP("Causes", "a wish for speed needs this machine's speed: measure it first"),
    QT_TRANSLATE_NOOP("Causes", "a wish for a loss needs a text to measure it on"),
    QT_TRANSLATE_NOOP("Causes", "this machine's speed is not measured yet: hearth estimate --measure"),
    # Texts, cards and original weights.
    QT_TRANSLATE_NOOP("Causes", "there is no text {name}: name a file, or one of {known}"),
    QT_TRANSLATE_NOOP("Causes", "{name} is too large for a run card"),
    QT_TRANSLATE_NOOP("Causes", "{name} is no run card: {why}"),
    QT_TRANSLATE_NOOP("Causes", "{name} is no run card"),
    QT_TRANSLATE_NOOP("Causes", "{name} was written by a newer Hearth: update to read it"),
    QT_TRANSLATE_NOOP("Causes", "converting needs Python 3.10 or newer on this machine: install one"),
    QT_TRANSLATE_NOOP("Causes", "{name} holds no converter: it is not {package}'s source archive"),
    QT_TRANSLATE_NOOP("Causes", "{name} is no type to convert to; there are {known}"),
    QT_TRANSLATE_NOOP("Causes", "it is no Hugging Face model, it has no config.json"),
    QT_TRANSLATE_NOOP(
        "Causes", "it has no safetensors, and other weights can hold programs and are not read"
    ),
    QT_TRANSLATE_NOOP(
        "Causes",
        "it brings programs of its own, which the converter would run. Read its *.py files, and delete them to convert"
        " without",
    ),
    QT_TRANSLATE_NOOP("Causes", "llama.cpp's converter does not know models of the kind {name}"),
    QT_TRANSLATE_NOOP("Causes", "it has no tokenizer, as tokenizer.json is one"),
    QT_TRANSLATE_NOOP("Causes", "its part {name} is missing"),
    QT_TRANSLATE_NOOP("Causes", "its file {name} is no safetensors, or cut short"),
    QT_TRANSLATE_NOOP("Causes", "its file {name} is cut short"),
    # What making the converter's environment is at.
    QT_TRANSLATE_NOOP("Causes", "Making an environment in {folder}"),
    QT_TRANSLATE_NOOP("Causes", "Fetching the source archive of {name}"),
    QT_TRANSLATE_NOOP("Causes", "Unpacking {name}"),
    QT_TRANSLATE_NOOP("Causes", "Installing PyTorch, Transformers and what they need"),
    QT_TRANSLATE_NOOP("Causes", "Trying it out"),
    QT_TRANSLATE_NOOP(
        "Causes",
        "PyTorch for processors alone is not to be had here: the one for NVIDIA's cards comes instead, with about"
        " {size} GB on the disk",
    ),
)
"""As ``causes`` has its own: the names in braces stand for what is filled in."""
