// The Open Inference Protocol v2 for one input "image" and the outputs "scores" and "label".
// https://github.com/open-inference/open-inference-protocol
export const MAX_BODY_BYTES = 1024 * 1024;
const MAX_DEPTH = 8;
const MAX_ID_LENGTH = 256;
const OUTPUTS = ['scores', 'label'];

/** A request that cannot be answered; `status` is the HTTP status, the message is for the caller. */
export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function modelMetadata(model, name, version) {
  return {
    name,
    versions: [version],
    platform: 'custody-digits_mlp',
    inputs: [{ name: 'image', datatype: 'FP32', shape: [-1, model.inputs] }],
    outputs: [
      { name: 'scores', datatype: 'FP32', shape: [-1, model.outputs] },
      { name: 'label', datatype: 'BYTES', shape: [-1] },
    ],
  };
}

/** Reads an inference request; RequestError 400 says the first thing that is wrong with it. */
export function parseInfer(body, model) {
  const request = parseBody(body);
  checkMembers(request, 'the request', ['inputs'], ['id', 'parameters', 'outputs']);
  if (request.id !== undefined && (typeof request.id !== 'string' || request.id.length > MAX_ID_LENGTH)) {
    throw bad(`"id" must be a text of at most ${MAX_ID_LENGTH} characters`);
  }
  checkParameters(request.parameters, 'the request');
  if (!Array.isArray(request.inputs) || request.inputs.length !== 1) {
    throw bad('"inputs" must hold exactly one tensor, "image"');
  }
  return { id: request.id, outputs: readOutputs(request.outputs), ...readImages(request.inputs[0], model) };
}

/** The response: class probabilities and the most probable label of each image. */
export function inferResponse({ id, outputs, count }, scores, model, name, version) {
  const tensors = {
    scores: () => ({ name: 'scores', datatype: 'FP32', shape: [count, model.outputs], data: [...scores] }),
    label: () => ({
      name: 'label',
      datatype: 'BYTES',
      shape: [count],
      data: Array.from({ length: count }, (_, row) => {
        const own = scores.subarray(row * model.outputs, (row + 1) * model.outputs);
        return model.labels[own.indexOf(Math.max(...own))];
      }),
    }),
  };
  return {
    model_name: name,
    model_version: version,
    ...(id === undefined ? {} : { id }),
    outputs: outputs.map((output) => tensors[output]()),
  };
}

function parseBody(body) {
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw bad('the body is not UTF-8');
  }
  checkDepth(body);
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message would repeat what the caller sent.
    throw bad('the body is not JSON');
  }
}

/** Refuses deep nesting before the parser sees it. Bytes outside ASCII never equal a bracket or a quote in UTF-8. */
function checkDepth(body) {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (inText) {
      if (byte === 0x5c) at += 1;
      else if (byte === 0x22) inText = false;
    } else if (byte === 0x22) inText = true;
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > MAX_DEPTH) throw bad(`the body is nested deeper than ${MAX_DEPTH} levels`);
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
}

function readOutputs(outputs) {
  if (outputs === undefined) return OUTPUTS;
  if (!Array.isArray(outputs) || outputs.length === 0 || outputs.length > OUTPUTS.length) {
    throw bad(`"outputs" must name one or both of ${OUTPUTS.join(', ')}`);
  }
  const names = outputs.map((output) => {
    checkMembers(output, 'an output', ['name'], ['parameters']);
    checkParameters(output.parameters, 'an output');
    if (!OUTPUTS.includes(output.name)) throw bad(`there is no such output; there are ${OUTPUTS.join(', ')}`);
    return output.name;
  });
  if (new Set(names).size !== names.length) throw bad('"outputs" names one output twice');
  return names;
}

function readImages(tensor, model) {
  checkMembers(tensor, 'an input', ['name', 'shape', 'datatype', 'data'], ['parameters']);
  checkParameters(tensor.parameters, 'an input');
  if (tensor.name !== 'image') throw bad('there is no such input; there is "image"');
  if (tensor.datatype !== 'FP32') throw bad('the datatype of "image" must be "FP32"');
  const { shape, data } = tensor;
  const maxBatch = model.serving.max_batch;
  if (!Array.isArray(shape) || shape.length !== 2 || shape[1] !== model.inputs) {
    throw bad(`the shape of "image" must be [n,${model.inputs}]`);
  }
  const count = shape[0];
  if (!Number.isInteger(count) || count < 1 || count > maxBatch) {
    throw bad(`the first dimension of "image" must be a whole number from 1 to ${maxBatch}`);
  }
  if (!Array.isArray(data)) throw bad('the data of "image" must be an array');
  const values = Array.isArray(data[0]) ? flattenRows(data, count, model.inputs) : data;
  if (values.length !== count * model.inputs) {
    throw bad(`the data of "image" has ${values.length} values, its shape demands ${count * model.inputs}`);
  }
  const { min, max } = model.input;
  if (!values.every((value) => typeof value === 'number' && value >= min && value <= max)) {
    throw bad(`each value of "image" must be a number from ${min} to ${max}`);
  }
  return { count, images: Float32Array.from(values) };
}

function flattenRows(rows, count, width) {
  if (rows.length !== count || !rows.every((row) => Array.isArray(row) && row.length === width)) {
    throw bad(`the data of "image" must be ${count} rows of ${width} values`);
  }
  return rows.flat();
}

function checkMembers(value, what, required, optional) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${what} must be an object`);
  for (const name of required) if (!Object.hasOwn(value, name)) throw bad(`${what} has no "${name}"`);
  if (Object.keys(value).some((name) => !required.includes(name) && !optional.includes(name))) {
    throw bad(`${what} has an unknown member; known are ${[...required, ...optional].join(', ')}`);
  }
}

function checkParameters(parameters, what) {
  if (parameters === undefined) return;
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw bad(`"parameters" of ${what} must be an object`);
  }
  if (!Object.values(parameters).every((value) => ['string', 'number', 'boolean'].includes(typeof value))) {
    throw bad(`"parameters" of ${what} must hold texts, numbers and booleans only`);
  }
}

function bad(message) {
  return new RequestError(400, message);
}
