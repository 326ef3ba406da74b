// In the audio thread: when sound begins after silence, in seconds on the context's clock.
class Onsets extends AudioWorkletProcessor {
  quiet = 0;  // samples of silence before this one

  process([[samples]]) {
    samples?.forEach((sample, i) => {
      if (Math.abs(sample) > 0.1) {
        if (this.quiet > sampleRate / 2) this.port.postMessage((currentFrame + i) / sampleRate);
        this.quiet = 0;
      } else {
        this.quiet++;
      }
    });
    return true;
  }
}
registerProcessor('onsets', Onsets);
