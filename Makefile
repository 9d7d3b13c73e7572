# `make` lists the targets.
PYTHON ?= python3

# updates .venv to a lock file in requirements/, if it isn't up to date. A working .venv is kept, unless PYTHON was
# given on the command line and is a different version
ENVIRONMENT = $(PYTHON) dev/environment.py $(if $(filter file,$(origin PYTHON)),,--exactly)
IN_VENV = .venv/bin/python -m

.PHONY: help run stop-auth start-auth stop reset seed test test-fast test-database test-pgbouncer test-compose faults faults-quick soak test-libpass lint lock audit fuzz bench rotate-demo screenshots
help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# exec, so that a signal to make reaches the runner and not a shell in between
run: ## run both services and the console with an embedded Postgres (AUTH_PORT, POSTS_PORT, CONSOLE_PORT, DATA_DIR)
	@$(ENVIRONMENT) dev
	@exec $(IN_VENV) dev run

# these must work without a network, so they use .venv as it is
stop-auth: ## stop only the auth service of `make run`, to show that posts keeps working; its database keeps running
	@test -x .venv/bin/python || $(ENVIRONMENT) dev
	@exec $(IN_VENV) dev stop-auth

start-auth: ## start the auth service again
	@test -x .venv/bin/python || $(ENVIRONMENT) dev
	@exec $(IN_VENV) dev start-auth

stop: ## stop everything that `make run` started, even if it was killed
	@test -x .venv/bin/python || $(ENVIRONMENT) dev
	@exec $(IN_VENV) dev stop

reset: ## stop, then delete the data of `make run`: databases, key file, and the tokens signed with it
	@test -x .venv/bin/python || $(ENVIRONMENT) dev
	@exec $(IN_VENV) dev reset

seed: ## add made-up posts to the running posts service, to see long lists (POSTS=1000)
	@exec $(IN_VENV) dev seed --posts $(or $(POSTS),1000)

# the tests of a file share services, so they stay in one process; files start in the order of testpaths, longest first
PARALLEL = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: ## all tests, against a real Postgres (TEST_DATABASE=embedded|container|pgbouncer, or TEST_DATABASE_URL)
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) pytest $(PARALLEL) $(ARGS)

test-fast: ## all tests but the slow ones, in about half a minute
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) pytest $(PARALLEL) -m 'not slow' $(ARGS)

# These folders have every test of the stores, the migrations and the pool; the other tests can't tell one Postgres from
# another.
test-database: ## the tests of everything that runs SQL, to try them on another Postgres (TEST_DATABASE=container)
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) pytest $(PARALLEL) -m 'not direct' tests/auth_service tests/posts_service tests/shared $(ARGS)

test-pgbouncer: ## the same tests, and those of attacks and OpenAPI, through PgBouncer in transaction mode
	@$(ENVIRONMENT) test
	@TEST_DATABASE=pgbouncer exec $(IN_VENV) pytest $(PARALLEL) -m 'not direct' tests/auth_service tests/posts_service tests/shared tests/attacks tests/openapi tests/test_answers.py $(ARGS)

faults: ## break everything on purpose, most of it three times, and write the figures into docs/reliability.md
	@$(ENVIRONMENT) test
	@$(IN_VENV) pytest tests/faults --runs 3 --figures .faults.json $(ARGS)
	@exec $(IN_VENV) tests.faults.publish .faults.json

faults-quick: ## the short ones of these scenarios, once each
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) pytest tests/faults -m 'not slow' $(ARGS)

soak: ## an hour of mixed traffic, and how fast the memory of both services grows (MINUTES=60)
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) pytest tests/faults/test_memory.py --minutes $(or $(MINUTES),60) $(ARGS)

test-compose: ## build the images, start the containers from nothing, and test them from outside and inside
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) pytest tests/compose $(ARGS)

test-libpass: ## the tests of passwords and accounts on libpass and the newest bcrypt, which could replace passlib
	@$(ENVIRONMENT) test
	@bash tests/on_libpass.sh $(ARGS)

lint: ## check style, format, types and import rules
	@$(ENVIRONMENT) test
	@$(IN_VENV) ruff check .
	@$(IN_VENV) ruff format --check .
	@$(IN_VENV) mypy
	@$(IN_VENV) pytest -q tests/test_imports.py tests/test_http_at_the_edge.py

fuzz: ## a million random and mutated tokens against a running service (FUZZ_TOKENS=… for fewer); takes half an hour
	@$(ENVIRONMENT) test
	@FUZZ_TOKENS=$${FUZZ_TOKENS:-1000000} exec $(IN_VENV) pytest -s tests/attacks/test_fuzz.py $(ARGS)

bench: ## measure verifying a token, log-ins under load and in a crowd, paging, and hostile neighbours
	@$(ENVIRONMENT) test
	@$(IN_VENV) benchmarks.verify
	@$(IN_VENV) benchmarks.logins
	@$(IN_VENV) benchmarks.crowd
	@$(IN_VENV) benchmarks.paging
	@$(IN_VENV) benchmarks.neighbours

rotate-demo: ## replace the shared secret under load while you watch
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) tests.system.rotation

screenshots: ## take the screenshots of the console in docs/, with this machine's Chromium
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) tests.console.screenshots

audit: ## look for known vulnerabilities in everything that is locked (OSV=all.zip without a network)
	@$(ENVIRONMENT) test
	@exec $(IN_VENV) tests.audit

COMPILE = .venv/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

lock: ## update requirements/*.txt from requirements/*.in (UPGRADE=--upgrade for the newest versions)
	@$(ENVIRONMENT) test
	$(COMPILE) $(UPGRADE) requirements/test.in -o requirements/test.txt
	$(COMPILE) $(UPGRADE) --no-deps requirements/docs.in -o requirements/docs.txt
	$(COMPILE) $(UPGRADE) requirements/libpass.in -o requirements/libpass.txt
	for name in dev auth posts console; do \
		$(COMPILE) -c requirements/test.txt requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done
