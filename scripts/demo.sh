#!/usr/bin/env bash
# The whole story in plain commands: data, features, two methods, their table, an index and a search.
# `make demo` runs it on a toy kitchen, `make demo DATA=folder` on recipes with the partitions train, val and test; OUT moves the results.
set -euo pipefail

data=${DATA:-}
out=${OUT:-out/demo${data:+-$(basename "$data")}}
mkdir -p "$out"

run() {  # show a command as one would type it, then run it
  printf '\n$'
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./=-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  printf '\n'
  "$@"
}

if [ -z "$data" ]; then
  data=$out/kitchen
  run savor data toy "$data"
fi

run savor data check "$data"
run savor features "$data" --out "$out/features"

for method in cca triplet_mlp; do
  rm -rf "${out:?}/$method"
  run savor train "$method" --features "$out/features" --out "$out/$method"
  for split in val test; do
    run savor evaluate "$out/$method" --features "$out/features" --split "$split" --json "$out/$method-$split.json"
  done
done

rm -rf "$out/index"
run savor index "$out/triplet_mlp" --features "$out/features" --split test --out "$out/index"
run python scripts/one_photo.py "$data" --split test --out "$out/photo.jpg"
run savor search "$out/index" --photo "$out/photo.jpg" -k 5 --html "$out/gallery.html"
run savor search "$out/index" --text "soup with carrots" -k 5
run savor search "$out/index" --text "soup with carrots" --find photos -k 5

python scripts/results_page.py "$out" > "$out/results.md"
printf '\nThe page of results, %s:\n\n' "$out/results.md"
cat "$out/results.md"
