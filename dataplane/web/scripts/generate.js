// Makes src/protocol/generated from the protocol's own .proto file: `npm run generate`.
//
// protobufjs parses the file (it needs no native compiler), protoc-gen-es writes the code.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponseSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import protobuf from 'protobufjs';
import 'protobufjs/ext/descriptor/index.js';

const PROTO = 'barrage/v2/barrage.proto';
const root = fileURLToPath(new URL('..', import.meta.url));
const protos = join(root, '../../proto');
const plugin = join(root, 'node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es');

/** Where the generated code belongs. */
export const GENERATED = join(root, 'src/protocol/generated/barrage/v2/barrage_pb.ts');

/** The code that the .proto file makes today. */
export function generate() {
  const request = create(CodeGeneratorRequestSchema, {
    fileToGenerate: [PROTO],
    protoFile: [describe()],
    parameter: 'target=ts',
  });
  const output = execFileSync(process.execPath, [plugin], {
    input: toBinary(CodeGeneratorRequestSchema, request),
  });
  const { file, error } = fromBinary(CodeGeneratorResponseSchema, output);
  if (error || file.length !== 1) {
    throw new Error(`protoc-gen-es made ${file.length} files of ${PROTO}: ${error}`);
  }
  return file[0].content;
}

/** The file's descriptor. protobufjs names types relative to their package; protoc, and so the plugin, in full. */
function describe() {
  const parsed = new protobuf.Root();
  parsed.loadSync(join(protos, PROTO), { keepCase: true }).resolveAll();
  const set = parsed.toDescriptor('proto3');
  const { file } = fromBinary(FileDescriptorSetSchema, set.$type.encode(set).finish());
  const [descriptor] = file.filter(({ messageType }) => messageType.length > 0);
  descriptor.name = PROTO;
  for (const { field } of descriptor.messageType) {
    for (const one of field.filter(({ typeName }) => typeName !== '')) {
      one.typeName = `.${descriptor.package}.${one.typeName}`;
    }
  }
  return descriptor;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(dirname(GENERATED), { recursive: true });
  writeFileSync(GENERATED, generate());
}
