// How a slice is painted: the values as they are stored, exactly, through the window; masks over them with an edge.
//
// NiiVue would window the whole volume into a second texture at every change, and shade it in three dimensions: ten
// seconds for 256 x 256 x 256 where there is no GPU. So it is given a volume of two voxels a side in the same place, and
// this shader, which looks only at what is seen.

const VALUES = 14; // texture units that NiiVue leaves alone
const MASKS = 15;
export const MOST_MASKS = 32;

// By dtype: sampler, internal format, format and type of its texture. What has none becomes float32.
const TEXTURES = {
  uint8: ["u", "R8UI", "RED_INTEGER", "UNSIGNED_BYTE"],
  int8: ["i", "R8I", "RED_INTEGER", "BYTE"],
  uint16: ["u", "R16UI", "RED_INTEGER", "UNSIGNED_SHORT"],
  uint32: ["u", "R32UI", "RED_INTEGER", "UNSIGNED_INT"],
  int32: ["i", "R32I", "RED_INTEGER", "INT"],
  int16: ["i", "R16I", "RED_INTEGER", "SHORT"],
  float32: ["", "R32F", "RED", "FLOAT"],
};
const stored = (dtype) => (dtype in TEXTURES ? dtype : "float32");
const storedArray = (values, dtype) => (dtype in TEXTURES ? values : Float32Array.from(values, Number));

const shader = (sampler) => `#version 300 es
precision highp float;
precision highp int;
uniform highp ${sampler}sampler3D values;
uniform highp usampler3D masks;
uniform mat4 toVoxel;
uniform float low;
uniform float high;
uniform bool inverted;
uniform uint present;
uniform vec4 colours[${MOST_MASKS}];
in vec3 texPos;
out vec4 color;

float at(ivec3 voxel) {
  return float(texelFetch(values, clamp(voxel, ivec3(0), textureSize(values, 0) - 1), 0).r);
}

float value(vec3 place) {
  vec3 base = floor(place + 1e-4);
  vec3 share = max(place - base, vec3(0.0));
  ivec3 v = ivec3(base);
  float total = 0.0;
  float weights = 0.0;
  for (int i = 0; i < 8; i++) {
    ivec3 step = ivec3(i & 1, (i >> 1) & 1, i >> 2);
    vec3 weight = mix(1.0 - share, share, vec3(step));
    float w = weight.x * weight.y * weight.z;
    if (w > 1e-3) {
      total += w * at(v + step);
      weights += w;
    }
  }
  return total / weights;
}

uint marks(vec3 place) {
  ivec3 voxel = ivec3(floor(place + 0.5));
  if (any(lessThan(voxel, ivec3(0))) || any(greaterThanEqual(voxel, textureSize(masks, 0)))) return 0u;
  return texelFetch(masks, voxel, 0).r;
}

void main() {
  vec3 place = (toVoxel * vec4(texPos, 1.0)).xyz;
  float raw = value(place);
  float grey = isnan(raw) ? 0.0 : clamp((raw - low) / (high - low), 0.0, 1.0);
  color = vec4(vec3(inverted ? 1.0 - grey : grey), 1.0);
  if (present == 0u) return;
  vec3 right = mat3(toVoxel) * dFdx(texPos);
  vec3 up = mat3(toVoxel) * dFdy(texPos);
  uint here = marks(place);
  uint inner = here & marks(place + right) & marks(place - right) & marks(place + up) & marks(place - up);
  for (int i = 0; i < ${MOST_MASKS}; i++) {
    uint bit = 1u << i;
    if ((here & bit) == 0u || colours[i].a == 0.0) continue;
    float alpha = (inner & bit) == 0u ? min(1.0, colours[i].a * 1.8) : colours[i].a;
    color.rgb = mix(color.rgb, colours[i].rgb, alpha);
  }
}`;

export class Painting {
  constructor(nv, place, dtype, masks) {
    this.nv = nv;
    this.gl = nv.gl;
    this.place = place;
    this.dtype = dtype;
    nv.setCustomSliceShader(shader(TEXTURES[stored(dtype)][0]));
    this.program = nv.customSliceShader.program;
    this.bits = masks > 16 ? 32 : masks > 8 ? 16 : 8;
    this.marks = null;
    this.uniform("values", (at) => this.gl.uniform1i(at, VALUES));
    this.uniform("masks", (at) => this.gl.uniform1i(at, MASKS));
    this.texture(MASKS, "uint8", new Uint8Array(1), [1, 1, 1]);
  }

  uniform(name, set) {
    this.gl.useProgram(this.program);
    set(this.gl.getUniformLocation(this.program, name));
  }

  // Where the voxels lie in what NiiVue draws, which it knows when it has its volume.
  lay() {
    this.uniform("toVoxel", (at) => this.gl.uniformMatrix4fv(at, false, this.toVoxel()));
  }

  // Column-major, from NiiVue's 0 to 1 across the volume to voxels.
  toVoxel() {
    const at = (...frac) => this.place.voxel([...this.nv.frac2mm(frac, 0, true)].slice(0, 3));
    const origin = at(0, 0, 0);
    const axes = [at(1, 0, 0), at(0, 1, 0), at(0, 0, 1)].map((end) => end.map((value, i) => value - origin[i]));
    return new Float32Array([...axes.flatMap((axis) => [...axis, 0]), ...origin, 1]);
  }

  texture(unit, dtype, array, size) {
    const { gl } = this;
    const [, internal, format, type] = TEXTURES[dtype];
    gl.activeTexture(gl.TEXTURE0 + unit);
    const old = this[`texture${unit}`];
    const same = old && old.key === `${internal} ${size}`;
    if (old && !same) gl.deleteTexture(old.texture);
    const texture = same ? old.texture : gl.createTexture();
    gl.bindTexture(gl.TEXTURE_3D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    if (!same) {
      gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
      gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
      gl.texStorage3D(gl.TEXTURE_3D, 1, gl[internal], ...size);
    }
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, ...size, gl[format], gl[type], array);
    this[`texture${unit}`] = { texture, key: `${internal} ${size}` };
    gl.activeTexture(gl.TEXTURE0);
  }

  show(values) {
    this.texture(VALUES, stored(this.dtype), storedArray(values, this.dtype), this.place.size);
  }

  window({ centre, width, inverted }) {
    this.uniform("low", (at) => this.gl.uniform1f(at, centre - width / 2));
    this.uniform("high", (at) => this.gl.uniform1f(at, centre + width / 2));
    this.uniform("inverted", (at) => this.gl.uniform1i(at, inverted ? 1 : 0));
  }

  // Each mask is one bit of a voxel.
  mark(bit, mask) {
    const dtype = { 8: "uint8", 16: "uint16", 32: "uint32" }[this.bits];
    const make = { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array }[this.bits];
    this.marks ??= new make(mask.length);
    const one = 2 ** bit;
    for (let i = 0; i < mask.length; i++) if (mask[i]) this.marks[i] |= one;
    this.texture(MASKS, dtype, this.marks, this.place.size);
  }

  // [r, g, b, a] of every mask, 0 to 1; null where there is none.
  colours(list) {
    const flat = new Float32Array(4 * MOST_MASKS);
    list.forEach((colour, i) => flat.set(colour ?? [0, 0, 0, 0], 4 * i));
    this.uniform("colours", (at) => this.gl.uniform4fv(at, flat));
    this.uniform("present", (at) => this.gl.uniform1ui(at, list.some((colour) => colour?.[3]) ? 1 : 0));
  }
}
