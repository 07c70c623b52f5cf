/** How a model server is spoken to: KServe's Open Inference Protocol v2, or OpenAI's chat completions. */
export const PROTOCOLS = ['open-inference-v2', 'openai-chat'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The path that answers 200 once a server is ready. */
export const READY_PATH: Readonly<Record<Protocol, string>> = {
  'open-inference-v2': '/v2/health/ready',
  'openai-chat': '/v1/models',
};
