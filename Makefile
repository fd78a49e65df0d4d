# Thin on purpose: everything is in packaging/dev.py, so that Windows, which has no make, does the same with
#     py packaging\dev.py run
# Options for the program or the tool behind a target go into ARGS: make test ARGS="-k planner"
PYTHON ?= python3
ARGS ?=

.PHONY: run setup setup-tests test check bench bench-peers lab-proof engine-vulkan engine-cuda engine-rocm package package-test update-list soak shots lock help

run setup setup-tests test check bench bench-peers lab-proof engine-vulkan engine-cuda engine-rocm package package-test update-list soak shots lock:
	@$(PYTHON) packaging/dev.py $@ $(ARGS)

help:
	@$(PYTHON) packaging/dev.py --help
