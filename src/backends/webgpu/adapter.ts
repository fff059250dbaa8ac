// What an adapter tells about itself.

/** Names of drivers that compute on the processor. */
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|software|basic render/i;

/** Whether an adapter is a program on the processor. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const { isFallbackAdapter } = info as { isFallbackAdapter?: boolean };
  const name = `${info.vendor} ${info.architecture} ${info.description}`;
  return isFallbackAdapter === true || SOFTWARE.test(name);
}
