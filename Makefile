# Two commands: `make run` starts the app, `make test` runs every test. Both set up what they need the first time.

PYTHON ?= python3.11
PORT ?= 8501
BIN := .venv/bin

.PHONY: help run test check format benchmark clean frontend

help:
	@echo "make run      start the app on http://127.0.0.1:$(PORT) (PORT= to change)"
	@echo "make test     run every test, browser tests too where Chromium is installed"
	@echo "make check    formatting, lint and types"
	@echo "make format   put formatting and import order right"
	@echo "make frontend build assets/maps.js anew after a change in frontend/ (needs node)"

run: .venv/ready
	@$(BIN)/python -m defemb_core dictionary || echo "the app starts all the same; definitions need WordNet"
	@exec $(BIN)/streamlit run app.py --server.port $(PORT)

test: .venv/ready-to-test
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q $(ARGS)

check: .venv/ready-to-test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: .venv/ready-to-test
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

benchmark: .venv/ready-to-test
	@$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

# A stamp is newer than the list it was made from; an interrupted installation leaves none.
.venv/ready: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; install Python 3.11 or name one with PYTHON="; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/ready-to-test: .venv/ready tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# Only after a change in frontend/, and the only thing that needs node (20 or newer); its result is committed.
frontend:
	@cd frontend && npm ci --silent && npm run --silent build
