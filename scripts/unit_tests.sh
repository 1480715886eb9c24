#!/usr/bin/env bash
# scripts/unit_tests.sh PRESET: the C++ tests of a built preset by ctest, fast ones first, slow ones after.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
dir=build-$preset
[ "$preset" = release ] && dir=build

# Sanitizers map memory at fixed places; without address randomisation they also start on kernels that randomise a lot.
run=()
case $preset in
  asan | tsan) setarch -R true 2>/dev/null && run=(setarch -R) ;;
esac
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

has_tests() { ! ctest --test-dir "$dir" -N "$@" | grep -q '^Total Tests: 0$'; }

status=0
for label in fast slow; do
  if has_tests -L "^$label\$"; then
    echo "== C++ tests: $preset, $label"
    "${run[@]}" ctest --test-dir "$dir" -L "^$label\$" --output-on-failure --parallel "${GRAFT_JOBS:-$(nproc)}" || status=1
  fi
done
exit $status
