import type { Report } from './reader.js';

/** By these names loaders take a text for a protobuf message: of TensorFlow, ONNX and Caffe. */
const MESSAGE_NAME = /\.(?:pbtxt|pbtext|textproto|txtpb|prototxt)$/i;
/** By these, TensorFlow and ONNX look for nothing else in it. */
const MODEL_NAME = /(?:^|\/)saved_model\.pbtxt$|\.onnx(?:txt|text)$/i;
/** Fields that only graphs have. Settings of servers and lists of labels have others. */
const GRAPH =
  /(?:^|\W)(?:saved_model_schema_version|meta_graphs|graph_def|ir_version|opset_import|graph|node|layers?)\s*(?::\s*)?[{<\d]/;
/** What LightGBM's reader needs, wherever it stands. That reader trusts every index into its trees. */
const LIGHTGBM = [/^max_feature_idx=/m, /^Tree=/m];
/** Each goes to its end, or that of its line, so that the work grows with the text alone. */
const STRING_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|#[^\n]*/g;

/** Tells of a model that is written down as text. Its operators may read and write files, and nothing here looks into it. */
export function checkTextModel(name: string, text: string, report: Report): void {
  if ((MESSAGE_NAME.test(name) && GRAPH.test(text.replace(STRING_OR_COMMENT, ' '))) || MODEL_NAME.test(name))
    report(0, 'format-not-allowed', 'it is a graph of operators, written as text');
  if (LIGHTGBM.every((line) => line.test(text)))
    report(0, 'format-not-allowed', 'it is a model of LightGBM, written as text');
}

/** The same for an object that is a whole document: ONNX as JSON. */
export function checkJsonModel(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  if (members.has('graph') && (members.has('irVersion') || members.has('ir_version')))
    report(offset(), 'format-not-allowed', 'it is a model of ONNX, written as JSON');
}
