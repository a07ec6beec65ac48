#!/usr/bin/env bash
# The main job end to end: train an energy on real digits, sample it, evaluate it, diagnose its chains.
# Ends with the run's folder, frechet_ratio, verdicts and the path of the report. About four minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."

trained=$(ebm train experiment=digits | tee /dev/stderr | tail -1)
sampled=$(ebm sample run="$trained" | tee /dev/stderr | tail -1)
evaluated=$(ebm evaluate run="$trained" | tee /dev/stderr)
diagnosed=$(ebm diagnose run="$sampled" | tee /dev/stderr)

echo
echo "run      $trained"
echo "digits   $sampled/samples.png"
echo "report   $trained/report.html"
grep --no-filename frechet_ratio <<<"$evaluated"
grep --no-filename --max-count=1 mixing <<<"$diagnosed"
