#!/usr/bin/env bash
# scripts/fuzz.sh [HARNESS [FILE]...]: fuzzes with the harnesses of the asan build, or with the one that is named, for
# FUZZ_SECONDS (60) each. With files: gives it these, one after the other, which shows again what one of them found.
# FUZZ_SEED: libFuzzer's -seed, 0 for another one each time (1). FUZZ_CASES=--all: starts from many more models.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
programs=build-asan/tests
dir=build-asan/fuzz

# Each session has a limit of 64 MB on what a model names (harness.cc). All other memory may only grow as the file does:
# more than this at once is a finding, as is all that libFuzzer limits.
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=256:detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
limits=(-timeout=60 -rss_limit_mb=2048)

# Sanitizers map memory at fixed places; without address randomisation they also start on kernels that randomise a lot.
run=()
setarch -R true 2>/dev/null && run=(setarch -R)

# Packages are synced to the disk, and there are thousands of them.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" graft_fuzz.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

if [ $# -gt 1 ]; then
  "${run[@]}" "$programs/$1" "${limits[@]}" "${@:2}"
  exit
fi

harnesses=("${1:-onnx_fuzz}")
[ $# -gt 0 ] || harnesses+=(package_fuzz)
mkdir -p $dir
rm -rf $dir/seeds
.venv/bin/python tests/fuzz/seeds.py $dir/seeds build/graft ${FUZZ_CASES:-}

status=0
for harness in "${harnesses[@]}"; do
  echo "== $harness: $seconds s"
  log=$dir/$harness.log
  mkdir -p "$dir/found" "$dir/corpus/$harness"
  if "${run[@]}" "$programs/$harness" "${limits[@]}" -seed="${FUZZ_SEED:-1}" -max_total_time="$seconds" -max_len=16384 \
    -dict=$dir/seeds/words.dict -artifact_prefix="$dir/found/" -print_final_stats=1 \
    "$dir/corpus/$harness" "$dir/seeds/${harness%_fuzz}" >"$log" 2>&1; then
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$log"
    continue
  fi
  status=1
  tail -n 80 "$log"
  grep -m 20 -E 'ERROR|SUMMARY|runtime error|^ +#[0-9]+ ' "$log" || true  # last, as logs of CI keep their ends
  for file in $(sed -n 's/.*Test unit written to //p' "$log"); do
    echo "fuzz: $harness ended with the input $file; again: scripts/fuzz.sh $harness $file"
  done
done
exit $status
