#!/bin/sh
# Makes the sound files of the tests from the reference recordings, and what
# other decoders make of the lossy ones (mono WAV).
# Needs sox (with MP3), flac, lame, vorbis-tools and opus-tools.
set -eu
cd "$(dirname "$0")"
media=../../reference/media
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

sox "$media/speech-16k.wav" "$work/mono.wav" trim 0.5 0.8
sox "$media/speech-44k-stereo.wav" "$work/stereo24.wav" trim 0.5 0.1
# The channels must differ, or mixing them would not be tested.
sox "$media/speech-44k-stereo.wav" -b 16 "$work/stereo.wav" trim 0.5 0.3 remix 1 2v0.3

flac --silent --force -8 -o mono16.flac "$work/mono.wav"
flac --silent --force -8 -o stereo24.flac "$work/stereo24.wav"
lame --quiet -V 6 "$work/mono.wav" mono.mp3
lame --quiet -b 96 "$work/stereo.wav" stereo.mp3
oggenc --quiet -q 2 -s 1 -o mono.ogg "$work/mono.wav"
oggenc --quiet -q 1 -s 1 -o stereo.ogg "$work/stereo.wav"
opusenc --quiet --bitrate 16 "$work/mono.wav" mono.opus

sox -D "$work/mono.wav" mono16.flac.wav
sox -D "$work/stereo24.wav" -b 24 stereo24.flac.wav
lame --quiet --decode mono.mp3 mono.mp3.wav
lame --quiet --decode stereo.mp3 "$work/stereo.mp3.wav"
oggdec --quiet -o mono.ogg.wav mono.ogg
oggdec --quiet -o "$work/stereo.ogg.wav" stereo.ogg
for name in stereo.mp3 stereo.ogg; do
  sox -D "$work/$name.wav" "$name.wav" remix 1,2
done
