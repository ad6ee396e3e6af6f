// NiiVue, 2.3 MB, fetched when the first volume is shown and not before.

let loading = null;

export function niivue(address) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", () => resolve(window.niivue));
    script.addEventListener("error", () => {
      loading = null;
      script.remove();
      reject(new Error("The viewer could not be fetched."));
    });
    document.head.append(script);
  });
  return loading;
}

export function hasWebGL() {
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
}

// The bytes of an answer, telling how much of it is here.
export async function fetched(address, signal, progress = () => {}) {
  const response = await fetch(address, { signal, credentials: "same-origin" });
  if (!response.ok) throw new Error((await response.text()).slice(0, 200) || "The volume could not be fetched.");
  const total = Number(response.headers.get("Content-Length"));
  if (!total || response.headers.has("Content-Encoding")) return response.arrayBuffer();
  const whole = new Uint8Array(total);
  let at = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    whole.set(value, at);
    at += value.length;
    progress(at / total);
  }
  if (at !== total) throw new Error("The volume did not arrive whole.");
  return whole.buffer;
}

export async function inflated(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const ARRAYS = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array,
  float32: Float32Array, float64: Float64Array, int64: BigInt64Array,
};
const HEADER = 352;

// The voxels of a NIfTI file of ours, in the order of pixels.npy.
export const voxelsOf = (buffer, dtype) => new ARRAYS[dtype](buffer, HEADER);
