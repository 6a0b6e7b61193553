#!/usr/bin/env bash
# The table of docs/results.md in plain commands: bash scripts/results.sh DATA OUT
# What is finished in OUT is not done again, so an interrupted call can be repeated.
set -euo pipefail

data=${1:?usage: bash scripts/results.sh DATA OUT}
out=${2:?usage: bash scripts/results.sh DATA OUT}
mkdir -p "$out"

row() {  # row NAME METHOD [option ...]: train, then rank the validation split and the 1k test pool
  local name=$1 method=$2 split
  shift 2
  savor train "$method" --features "$out/features" --out "$out/$name" "$@"
  for split in val test; do
    [ -s "$out/$name-$split.json" ] && continue
    local protocol=full
    [ "$split" = test ] && protocol=1k
    savor evaluate "$out/$name" --features "$out/features" --split "$split" --protocol "$protocol" \
      --json "$out/$name-$split.json" --scores "$out/$name-$split.npz" > /dev/null
  done
}

savor data check "$data"
savor features "$data" --out "$out/features"

row cca cca
for text in average title ingredients instructions; do
  row "cca-$text" cca --set "text=$text"
done
row cca-complete cca --complete
for seed in 0 1 2; do
  row "triplet_mlp-seed$seed" triplet_mlp --seed "$seed"
done
for seed in 0 1 2; do
  row "triplet_mlp_one-seed$seed" triplet_mlp --seed "$seed" --set members=1 --set hubs=0
done
row triplet_mlp-complete triplet_mlp --complete

python scripts/results_page.py "$out"
