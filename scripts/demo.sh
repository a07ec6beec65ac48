#!/usr/bin/env bash
# The main job end to end: train an energy on real digits, sample it, evaluate it, diagnose its chains.
# Ends with the run's folder, frechet_ratio, verdicts and the path of the report. About four minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."

trained=$(ebm train experiment=digits | tee /dev/stderr | tail -1)
sampled=$(ebm sample run="$trained" | tee /dev/stderr | tail -1)
ebm evaluate run="$trained" | tee /dev/stderr | tail -1 >/dev/null
ebm diagnose run="$sampled" | tee /dev/stderr | tail -1 >/dev/null

echo
echo "run     $trained"
echo "digits  $sampled/samples.png"
echo "report  $trained/report.html"
