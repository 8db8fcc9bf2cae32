#include "lsm/codec.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "base/format.h"
#include "lsm/block_format.h"

namespace varve {

Codec::~Codec() {
  if (compress_workspace_ != nullptr) {
    manager_->release(compress_workspace_, compress_workspace_size_, role_);
  }
  if (decompress_workspace_ != nullptr) {
    manager_->release(decompress_workspace_, decompress_workspace_size_, role_);
  }
}

size_t Codec::compress(std::string_view from, char* to) {
  if (from.size() > kBlockCompressedRawSizeMax || from.size() < 64) return 0;
  if (compress_context_ == nullptr) {
    const ZSTD_compressionParameters parameters =
        ZSTD_getCParams(kZstdLevel, kBlockCompressedRawSizeMax, /*dictSize=*/0);
    compress_workspace_size_ = ZSTD_estimateCCtxSize_usingCParams(parameters);
    compress_workspace_ = compress_refused_ ? nullptr
                                            : manager_->allocate_urgently(compress_workspace_size_,
                                                                          role_, Urgency::normal);
    compress_refused_ = compress_workspace_ == nullptr;
    if (compress_refused_) return 0;
    ZSTD_CCtx* context = ZSTD_initStaticCCtx(compress_workspace_, compress_workspace_size_);
    if (context != nullptr) {
      ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kZstdLevel);
      ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    }
    compress_context_ = context;
    if (context == nullptr) return 0;
  }
  const size_t room = from.size() - from.size() / 8;
  const size_t size = ZSTD_compress2(static_cast<ZSTD_CCtx*>(compress_context_), to, room,
                                     from.data(), from.size());
  return ZSTD_isError(size) ? 0 : size;
}

Status Codec::decompress(std::string_view from, char* to, size_t size) {
  if (decompress_context_ == nullptr) {
    decompress_workspace_size_ = ZSTD_estimateDCtxSize();
    decompress_workspace_ = manager_->allocate(decompress_workspace_size_, role_);
    if (decompress_workspace_ == nullptr) {
      return Status::out_of_memory("no memory for the working space of zstd");
    }
    decompress_context_ = ZSTD_initStaticDCtx(decompress_workspace_, decompress_workspace_size_);
  }
  const size_t result = ZSTD_decompressDCtx(static_cast<ZSTD_DCtx*>(decompress_context_), to, size,
                                            from.data(), from.size());
  if (ZSTD_isError(result)) {
    return Status::corruption(format("zstd: %s", ZSTD_getErrorName(result)));
  }
  if (result != size) {
    return Status::corruption(format("zstd: %zu bytes decompressed, %zu expected", result, size));
  }
  return Status();
}

}  // namespace varve
