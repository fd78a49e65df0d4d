<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="vi_VN">
<context>
    <name>AboutDialog</name>
    <message>
        <source>About Hearth</source>
        <translation>Giới thiệu Hearth</translation>
    </message>
    <message>
        <source>Finds, downloads, runs and measures language models on your own machine. Apache-2.0.</source>
        <translation>Tìm, tải, chạy và đo các mô hình ngôn ngữ ngay trên máy của bạn. Apache-2.0.</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Cài đặt</translation>
    </message>
    <message>
        <source>Logs</source>
        <translation>Nhật ký</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Look for updates…</source>
        <translation>Tìm bản cập nhật…</translation>
    </message>
    <message>
        <source>Go back to {version}</source>
        <translation>Quay lại {version}</translation>
    </message>
</context>
<context>
    <name>AccountRow</name>
    <message>
        <source>Hub account</source>
        <translation>Tài khoản Hub</translation>
    </message>
    <message>
        <source>A token from HF_TOKEN is used.</source>
        <translation>Đang dùng token từ HF_TOKEN.</translation>
    </message>
    <message>
        <source>A token is kept in the system's keyring.</source>
        <translation>Token được giữ trong kho khóa của hệ thống.</translation>
    </message>
    <message>
        <source>The token of the Hub's own command line is used.</source>
        <translation>Đang dùng token của dòng lệnh riêng của Hub.</translation>
    </message>
    <message>
        <source>Not signed in; needed for gated and private models only.</source>
        <translation>Chưa đăng nhập; chỉ cần cho mô hình riêng tư hoặc cần chấp thuận.</translation>
    </message>
    <message>
        <source>Change…</source>
        <translation>Sửa…</translation>
    </message>
    <message>
        <source>Sign in…</source>
        <translation>Đăng nhập…</translation>
    </message>
</context>
<context>
    <name>Actions</name>
    <message>
        <source>Change how it loads</source>
        <translation>Đổi cách nạp</translation>
    </message>
    <message>
        <source>Change the address</source>
        <translation>Đổi địa chỉ</translation>
    </message>
    <message>
        <source>Download again</source>
        <translation>Tải lại</translation>
    </message>
    <message>
        <source>Go back to the version before</source>
        <translation>Quay lại phiên bản trước</translation>
    </message>
    <message>
        <source>Load again</source>
        <translation>Nạp lại</translation>
    </message>
    <message>
        <source>Look for an update</source>
        <translation>Tìm bản cập nhật</translation>
    </message>
    <message>
        <source>Open its page</source>
        <translation>Mở trang của nó</translation>
    </message>
    <message>
        <source>Open the folder</source>
        <translation>Mở thư mục</translation>
    </message>
    <message>
        <source>Open the settings</source>
        <translation>Mở cài đặt</translation>
    </message>
    <message>
        <source>Save what can be read</source>
        <translation>Cứu những gì còn đọc được</translation>
    </message>
    <message>
        <source>Search for a model</source>
        <translation>Tìm mô hình</translation>
    </message>
    <message>
        <source>See how fast this machine is</source>
        <translation>Xem máy này nhanh đến đâu</translation>
    </message>
    <message>
        <source>Show that window</source>
        <translation>Hiện cửa sổ đó</translation>
    </message>
    <message>
        <source>Sign in…</source>
        <translation>Đăng nhập…</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
    <message>
        <source>Unload it</source>
        <translation>Gỡ nó ra</translation>
    </message>
    <message>
        <source>Use the free port</source>
        <translation>Dùng cổng còn trống</translation>
    </message>
</context>
<context>
    <name>AddressList</name>
    <message>
        <source>Copy {address}</source>
        <translation>Sao chép {address}</translation>
    </message>
    <message>
        <source>On the network</source>
        <translation>Trong mạng</translation>
    </message>
    <message>
        <source>By name</source>
        <translation>Theo tên máy</translation>
    </message>
    <message>
        <source>On this machine</source>
        <translation>Trên máy này</translation>
    </message>
    <message>
        <source>The addresses are shown here while the server is on.</source>
        <translation>Địa chỉ hiện ở đây khi máy chủ đang bật.</translation>
    </message>
</context>
<context>
    <name>ApiTable</name>
    <message>
        <source>{provider}, prices of {date}: {source}. Double-click to change.</source>
        <translation>{provider}, giá ngày {date}: {source}. Nhấp đúp để sửa.</translation>
    </message>
    <message>
        <source>entered by you</source>
        <translation>do bạn nhập</translation>
    </message>
    <message>
        <source>Prices of hosted models</source>
        <translation>Giá của các mô hình trên mạng</translation>
    </message>
    <message>
        <source>Hosted model</source>
        <translation>Mô hình trên mạng</translation>
    </message>
    <message>
        <source>Read ($/M tokens)</source>
        <translation>Đọc ($/triệu token)</translation>
    </message>
    <message>
        <source>Written ($/M tokens)</source>
        <translation>Viết ($/triệu token)</translation>
    </message>
    <message>
        <source>These tokens there</source>
        <translation>Số token này ở đó</translation>
    </message>
    <message>
        <source>Against here</source>
        <translation>So với ở đây</translation>
    </message>
</context>
<context>
    <name>AttachmentBar</name>
    <message>
        <source>Take out {name} ({size})</source>
        <translation>Bỏ {name} ({size})</translation>
    </message>
</context>
<context>
    <name>Banner</name>
    <message>
        <source>Details</source>
        <translation>Chi tiết</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Close this message</source>
        <translation>Đóng thông báo này</translation>
    </message>
</context>
<context>
    <name>BarChart</name>
    <message>
        <source>nothing measured</source>
        <translation>chưa đo được gì</translation>
    </message>
</context>
<context>
    <name>BatchPanel</name>
    <message>
        <source>Batch</source>
        <translation>Lô xử lý</translation>
    </message>
    <message>
        <source>tokens in a step</source>
        <translation>token trong một bước</translation>
    </message>
    <message>
        <source>Tokens in a step, last minute</source>
        <translation>Token trong một bước, phút vừa qua</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>Bộ đệm KV</translation>
    </message>
    <message>
        <source>No model has been asked yet.</source>
        <translation>Chưa hỏi mô hình nào.</translation>
    </message>
    <message>
        <source>of {most} tokens a step; {answering} answering, {waiting} waiting</source>
        <translation>trên {most} token mỗi bước; {answering} đang trả lời, {waiting} đang chờ</translation>
    </message>
    <message>
        <source>no model loaded</source>
        <translation>chưa nạp mô hình nào</translation>
    </message>
    <message>
        <source>{used} of {whole} cells of the KV cache</source>
        <translation>{used} trên {whole} ô của bộ đệm KV</translation>
    </message>
    <message>
        <source>used</source>
        <translation>đã dùng</translation>
    </message>
    <message>
        <source>free</source>
        <translation>còn trống</translation>
    </message>
</context>
<context>
    <name>BeforeCard</name>
    <message numerus="yes">
        <source>%n tensor(s) can't take {type}: their rows don't divide. They get a finer one.</source>
        <translation>
            <numerusform>%n tensor không dùng được {type} vì hàng của chúng không chia hết. Chúng nhận kiểu mịn hơn.</numerusform>
        </translation>
    </message>
    <message>
        <source>being worked out…</source>
        <translation>đang tính…</translation>
    </message>
    <message>
        <source>{need} of {free} free</source>
        <translation>{need} trên {free} còn trống</translation>
    </message>
    <message>
        <source>Measure and make</source>
        <translation>Đo rồi tạo</translation>
    </message>
    <message>
        <source>Tick a type</source>
        <translation>Hãy đánh dấu một kiểu</translation>
    </message>
    <message>
        <source>Not enough room on the disk</source>
        <translation>Ổ đĩa không đủ chỗ</translation>
    </message>
    <message>
        <source>at most {size}</source>
        <translation>nhiều nhất {size}</translation>
    </message>
    <message>
        <source>A copy for the trials, which is deleted, and the result.</source>
        <translation>Một bản sao để thử (sẽ bị xóa) và kết quả.</translation>
    </message>
    <message numerus="yes">
        <source>Make %n quant(s), {size}</source>
        <translation>
            <numerusform>Tạo %n bản lượng tử hóa, {size}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Make %n quant(s)</source>
        <translation>
            <numerusform>Tạo %n bản lượng tử hóa</numerusform>
        </translation>
    </message>
    <message>
        <source>Before you start</source>
        <translation>Trước khi bắt đầu</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Thời gian</translation>
    </message>
    <message>
        <source>New files</source>
        <translation>Tệp mới</translation>
    </message>
    <message>
        <source>Free on disk</source>
        <translation>Ổ đĩa còn trống</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Bộ nhớ</translation>
    </message>
</context>
<context>
    <name>BlindView</name>
    <message>
        <source>Stop</source>
        <translation>Dừng</translation>
    </message>
    <message>
        <source>Ask both</source>
        <translation>Hỏi cả hai</translation>
    </message>
    <message>
        <source>Choose two different models.</source>
        <translation>Hãy chọn hai mô hình khác nhau.</translation>
    </message>
    <message>
        <source>Loading…</source>
        <translation>Đang nạp…</translation>
    </message>
    <message>
        <source>Answer {letter} is on its way</source>
        <translation>Câu trả lời {letter} đang được viết</translation>
    </message>
    <message>
        <source>Which one is better?</source>
        <translation>Câu nào hay hơn?</translation>
    </message>
    <message>
        <source>Kept: as good as each other.</source>
        <translation>Đã ghi: hay như nhau.</translation>
    </message>
    <message>
        <source>Kept: {model} was better.</source>
        <translation>Đã ghi: {model} hay hơn.</translation>
    </message>
    <message>
        <source>Forget all votes?</source>
        <translation>Quên mọi phiếu?</translation>
    </message>
    <message>
        <source>The prompts and answers kept with them are deleted too.</source>
        <translation>Lời nhắc và câu trả lời lưu cùng phiếu cũng bị xóa.</translation>
    </message>
    <message>
        <source>Forget them</source>
        <translation>Quên đi</translation>
    </message>
    <message>
        <source>First model</source>
        <translation>Mô hình thứ nhất</translation>
    </message>
    <message>
        <source>Second model</source>
        <translation>Mô hình thứ hai</translation>
    </message>
    <message>
        <source>Blind</source>
        <translation>Giấu tên</translation>
    </message>
    <message>
        <source>The names are shown after the vote; only blind votes count.</source>
        <translation>Tên hiện ra sau khi bỏ phiếu; chỉ phiếu giấu tên mới được tính.</translation>
    </message>
    <message>
        <source>Prompt for both</source>
        <translation>Lời nhắc cho cả hai</translation>
    </message>
    <message>
        <source>A prompt of your own. Ctrl+Enter asks both models.</source>
        <translation>Lời nhắc của chính bạn. Ctrl+Enter hỏi cả hai mô hình.</translation>
    </message>
    <message>
        <source>As good as each other</source>
        <translation>Hay như nhau</translation>
    </message>
    <message>
        <source>Forget votes</source>
        <translation>Quên các phiếu</translation>
    </message>
    <message>
        <source>Ask two quants the same and judge without knowing which is which. Ten votes or more tell whether you can see a difference at all.</source>
        <translation>Hỏi hai bản lượng tử hóa cùng một câu rồi chấm mà không biết câu nào của bản nào. Từ mười phiếu trở lên mới rõ bạn có thật sự nhận ra khác biệt hay không.</translation>
    </message>
</context>
<context>
    <name>BringDialog</name>
    <message>
        <source>Set up the converter when it is needed</source>
        <translation>Cài bộ chuyển đổi khi cần</translation>
    </message>
    <message>
        <source>Original weights (safetensors) are converted first. That needs Python and PyTorch in a folder of their own, made once: {download} to fetch, {disk} on the disk, {time}.</source>
        <translation>Trọng số gốc (safetensors) được chuyển đổi trước. Việc đó cần Python và PyTorch trong một thư mục riêng, làm một lần: tải {download}, chiếm {disk} ổ đĩa, {time}.</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Đang tìm…</translation>
    </message>
    <message>
        <source>original weights (safetensors)</source>
        <translation>trọng số gốc (safetensors)</translation>
    </message>
    <message>
        <source>A folder of original weights: it is converted, and stays as it is.</source>
        <translation>Thư mục trọng số gốc: được chuyển đổi và giữ nguyên như cũ.</translation>
    </message>
    <message>
        <source>{kind}: {size} to fetch, but only {free} are free on the disk.</source>
        <translation>{kind}: cần tải {size}, nhưng ổ đĩa chỉ còn trống {free}.</translation>
    </message>
    <message>
        <source>{kind}: {size} to fetch, {free} free on the disk.</source>
        <translation>{kind}: cần tải {size}, ổ đĩa còn trống {free}.</translation>
    </message>
    <message>
        <source>It needs the converter, which is not set up yet: tick the box below.</source>
        <translation>Cần bộ chuyển đổi, hiện chưa được cài: hãy đánh dấu ô bên dưới.</translation>
    </message>
    <message>
        <source>A folder of safetensors</source>
        <translation>Thư mục chứa safetensors</translation>
    </message>
    <message>
        <source>Bring a source</source>
        <translation>Lấy mô hình nguồn</translation>
    </message>
    <message>
        <source>A repository on the Hub, of which the best source is taken, or a folder of original weights.</source>
        <translation>Một kho trên Hub, từ đó lấy nguồn tốt nhất, hoặc một thư mục trọng số gốc.</translation>
    </message>
    <message>
        <source>owner/model, an address of the Hub, or a folder</source>
        <translation>chủ/mô-hình, một địa chỉ trên Hub, hoặc một thư mục</translation>
    </message>
    <message>
        <source>Repository or folder</source>
        <translation>Kho hoặc thư mục</translation>
    </message>
    <message>
        <source>Folder…</source>
        <translation>Thư mục…</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Bring it</source>
        <translation>Lấy về</translation>
    </message>
</context>
<context>
    <name>CareBox</name>
    <message>
        <source>Download {size}</source>
        <translation>Tải {size}</translation>
    </message>
    <message>
        <source>Download again</source>
        <translation>Tải lại</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>Đã dừng.</translation>
    </message>
    <message>
        <source>Its bytes differ from what was published. Download it again.</source>
        <translation>Nội dung khác với bản đã phát hành. Hãy tải lại.</translation>
    </message>
    <message>
        <source>Every byte is as it was published.</source>
        <translation>Từng byte đều đúng như bản đã phát hành.</translation>
    </message>
    <message>
        <source>Read whole. There was no hash to compare with; it is kept from now on.</source>
        <translation>Đã đọc hết. Chưa có mã băm để so; từ nay mã này được lưu lại.</translation>
    </message>
    <message>
        <source>This is the newest: the Hub has the same bytes.</source>
        <translation>Đây là bản mới nhất: trên Hub là cùng nội dung.</translation>
    </message>
    <message>
        <source>The Hub has another file (page changed {when}).</source>
        <translation>Trên Hub có tệp khác (trang đổi {when}).</translation>
    </message>
    <message>
        <source>Its repository no longer has this file.</source>
        <translation>Kho của nó không còn tệp này.</translation>
    </message>
    <message>
        <source>The size is the same. Verify it, then ask again: there is no hash to compare with yet.</source>
        <translation>Kích thước như nhau. Hãy kiểm tra rồi hỏi lại: chưa có mã băm để so.</translation>
    </message>
    <message>
        <source>Verify</source>
        <translation>Kiểm tra</translation>
    </message>
    <message>
        <source>Reads every byte and compares with the download's hashes.</source>
        <translation>Đọc từng byte và so với mã băm của bản tải về.</translation>
    </message>
    <message>
        <source>Verifying</source>
        <translation>Đang kiểm tra</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Dừng</translation>
    </message>
    <message>
        <source>Look for a newer file</source>
        <translation>Tìm tệp mới hơn</translation>
    </message>
</context>
<context>
    <name>Causes</name>
    <message>
        <source>its name is not known here; perhaps this machine is not online</source>
        <translation>không tìm thấy tên máy này; có thể máy bạn chưa có mạng</translation>
    </message>
    <message>
        <source>the proxy asks for a name and a password</source>
        <translation>proxy yêu cầu tên và mật khẩu</translation>
    </message>
    <message>
        <source>the proxy's address is wrong; it looks like http://host:8080</source>
        <translation>địa chỉ proxy sai; nó có dạng http://máy:8080</translation>
    </message>
    <message>
        <source>the proxy itself does not answer</source>
        <translation>chính proxy không trả lời</translation>
    </message>
    <message>
        <source>the proxy refused</source>
        <translation>proxy từ chối</translation>
    </message>
    <message>
        <source>this kind of proxy is not supported, only http:// ones</source>
        <translation>loại proxy này không được hỗ trợ, chỉ dùng được http://</translation>
    </message>
    <message>
        <source>the connection is not safe: its certificate is not trusted</source>
        <translation>kết nối không an toàn: chứng chỉ không đáng tin</translation>
    </message>
    <message>
        <source>nothing answers there (the connection was refused)</source>
        <translation>không có gì trả lời ở đó (kết nối bị từ chối)</translation>
    </message>
    <message>
        <source>there is no way to it; perhaps this machine is not online</source>
        <translation>không có đường tới đó; có thể máy bạn chưa có mạng</translation>
    </message>
    <message>
        <source>no answer came in time</source>
        <translation>không có trả lời kịp lúc</translation>
    </message>
    <message>
        <source>the connection broke off</source>
        <translation>kết nối bị đứt</translation>
    </message>
    <message>
        <source>the variable HF_HUB_OFFLINE forbids it</source>
        <translation>biến HF_HUB_OFFLINE không cho phép</translation>
    </message>
    <message>
        <source>no address is set</source>
        <translation>chưa đặt địa chỉ nào</translation>
    </message>
    <message>
        <source>the system does not allow it</source>
        <translation>hệ thống không cho phép</translation>
    </message>
    <message>
        <source>its disk can only be read</source>
        <translation>ổ đĩa đó chỉ đọc được</translation>
    </message>
    <message>
        <source>the disk is full</source>
        <translation>ổ đĩa đã đầy</translation>
    </message>
    <message>
        <source>another program uses it</source>
        <translation>chương trình khác đang dùng</translation>
    </message>
    <message>
        <source>this machine does not have that address</source>
        <translation>máy này không có địa chỉ đó</translation>
    </message>
    <message>
        <source>there is no such file</source>
        <translation>không có tệp đó</translation>
    </message>
    <message>
        <source>its content does not have the form that was expected</source>
        <translation>nội dung của nó không đúng dạng cần có</translation>
    </message>
    <message>
        <source>the disk could not read or write it</source>
        <translation>ổ đĩa không đọc hay ghi được</translation>
    </message>
    <message>
        <source>{name} is neither text nor an image. Copy its text and paste it, or save it as a text file.</source>
        <translation>{name} không phải văn bản cũng không phải ảnh. Hãy chép nội dung của nó rồi dán vào, hoặc lưu thành tệp văn bản.</translation>
    </message>
    <message>
        <source>{name} is too large to put into the prompt ({size}).</source>
        <translation>{name} quá lớn để đưa vào lời nhắc ({size}).</translation>
    </message>
    <message>
        <source>{name} is too large to attach ({size} pixels).</source>
        <translation>{name} quá lớn để đính kèm ({size} điểm ảnh).</translation>
    </message>
    <message>
        <source>{name} is too large to attach ({size}).</source>
        <translation>{name} quá lớn để đính kèm ({size}).</translation>
    </message>
    <message>
        <source>{name} can't be attached: {why}.</source>
        <translation>Không đính kèm được {name}: {why}.</translation>
    </message>
    <message>
        <source>{name} can't be shown: {why}.</source>
        <translation>Không hiển thị được {name}: {why}.</translation>
    </message>
    <message>
        <source>{name} can't be read: {why}.</source>
        <translation>Không đọc được {name}: {why}.</translation>
    </message>
    <message>
        <source>{name} can't be read.</source>
        <translation>Không đọc được {name}.</translation>
    </message>
    <message>
        <source>{name} is damaged.</source>
        <translation>{name} bị hỏng.</translation>
    </message>
    <message>
        <source>{name} is not a text file.</source>
        <translation>{name} không phải tệp văn bản.</translation>
    </message>
    <message>
        <source>{name} is too large to put into a prompt.</source>
        <translation>{name} quá lớn để đưa vào lời nhắc.</translation>
    </message>
    <message>
        <source>{name} is not JSON: {why}.</source>
        <translation>{name} không phải JSON: {why}.</translation>
    </message>
    <message>
        <source>{name} is too large to be a chat export.</source>
        <translation>{name} quá lớn để là một tệp xuất trò chuyện.</translation>
    </message>
    <message>
        <source>No chats were found in {name}.</source>
        <translation>Không tìm thấy cuộc trò chuyện nào trong {name}.</translation>
    </message>
    <message>
        <source>This export was written by a newer Hearth.</source>
        <translation>Tệp xuất này do một bản Hearth mới hơn ghi.</translation>
    </message>
    <message>
        <source>This export is damaged: {why}.</source>
        <translation>Tệp xuất này bị hỏng: {why}.</translation>
    </message>
    <message>
        <source>A number in these chats is too large.</source>
        <translation>Có một con số trong các cuộc trò chuyện này quá lớn.</translation>
    </message>
    <message>
        <source>A prompt's name has letters, digits, spaces and dashes, 60 at most.</source>
        <translation>Tên câu lệnh gồm chữ cái, chữ số, dấu cách và gạch nối, nhiều nhất 60 ký tự.</translation>
    </message>
    <message>
        <source>The last answer is still being written.</source>
        <translation>Câu trả lời cuối vẫn đang được viết.</translation>
    </message>
    <message>
        <source>This answer is still being written.</source>
        <translation>Câu trả lời này vẫn đang được viết.</translation>
    </message>
    <message>
        <source>This answer is being written already.</source>
        <translation>Câu trả lời này đang được viết rồi.</translation>
    </message>
    <message>
        <source>There is no question to answer again.</source>
        <translation>Không có câu hỏi nào để trả lời lại.</translation>
    </message>
    <message>
        <source>There is no such conversation or message.</source>
        <translation>Không có cuộc trò chuyện hay tin nhắn đó.</translation>
    </message>
    <message>
        <source>{name} is not a folder.</source>
        <translation>{name} không phải thư mục.</translation>
    </message>
    <message>
        <source>{name} is no longer in the bin.</source>
        <translation>{name} không còn trong thùng rác.</translation>
    </message>
    <message>
        <source>There is another {name} in its place.</source>
        <translation>Đã có một {name} khác ở chỗ đó.</translation>
    </message>
    <message>
        <source>There is a profile called {name} already.</source>
        <translation>Đã có một hồ sơ tên {name}.</translation>
    </message>
    <message>
        <source>{name} is not a preset this version can read.</source>
        <translation>{name} không phải hồ sơ mà phiên bản này đọc được.</translation>
    </message>
    <message>
        <source>{name} is not a preset: {why}.</source>
        <translation>{name} không phải hồ sơ: {why}.</translation>
    </message>
    <message>
        <source>{name} is too large to be a preset.</source>
        <translation>{name} quá lớn để là một hồ sơ.</translation>
    </message>
    <message>
        <source>That is not a token: it begins with hf_ and has no spaces.</source>
        <translation>Đó không phải token: token bắt đầu bằng hf_ và không có dấu cách.</translation>
    </message>
    <message>
        <source>the result would replace its own source</source>
        <translation>kết quả sẽ ghi đè lên chính tệp nguồn</translation>
    </message>
    <message>
        <source>there is no layer {layer} to prune: {name} has {count}</source>
        <translation>không có lớp {layer} để tỉa: {name} có {count} lớp</translation>
    </message>
    <message>
        <source>{name} is not PATTERN=TYPE, as in ffn_down=Q6_K</source>
        <translation>{name} không có dạng MẪU=KIỂU, ví dụ ffn_down=Q6_K</translation>
    </message>
    <message>
        <source>{pattern} is no pattern: {why}</source>
        <translation>{pattern} không phải là một mẫu: {why}</translation>
    </message>
    <message>
        <source>no tensor of {name} is called like {pattern}</source>
        <translation>không có tensor nào của {name} có tên khớp với {pattern}</translation>
    </message>
    <message>
        <source>its result could not be written after {size} MB: the disk, or a limit, is full</source>
        <translation>không ghi tiếp được kết quả sau {size} MB: ổ đĩa đã đầy hoặc đã chạm giới hạn</translation>
    </message>
    <message>
        <source>unknown model architecture: '{name}'</source>
        <translation>llama.cpp không biết kiến trúc mô hình “{name}”</translation>
    </message>
    <message>
        <source>tensor '{name}' data is not within the file bounds, model is corrupted or incomplete</source>
        <translation>dữ liệu của tensor “{name}” nằm ngoài tệp: tệp bị hỏng hoặc bị cắt cụt</translation>
    </message>
    <message>
        <source>failed to load model from {name}</source>
        <translation>không nạp được mô hình từ {name}</translation>
    </message>
    <message>
        <source>no tensor type fallback is defined for type {type}</source>
        <translation>có tensor không dùng được kiểu {type}, và llama.cpp không có kiểu nào để thay</translation>
    </message>
    <message>
        <source>llama.cpp gave no reason</source>
        <translation>llama.cpp không cho biết lý do</translation>
    </message>
    <message>
        <source>Missing importance matrix for tensor {name} in a very low-bit quantization</source>
        <translation>ma trận tầm quan trọng không có tensor {name}, mà kiểu rất ít bit này cần nó</translation>
    </message>
    <message>
        <source>its {what} is no number; the file is damaged, or the model can't compute this text</source>
        <translation>giá trị {what} không phải là số: tệp bị hỏng, hoặc mô hình không tính được văn bản này</translation>
    </message>
    <message>
        <source>it is no importance matrix</source>
        <translation>đó không phải là ma trận tầm quan trọng</translation>
    </message>
    <message>
        <source>it is no importance matrix, or cut short</source>
        <translation>đó không phải là ma trận tầm quan trọng, hoặc bị cắt cụt</translation>
    </message>
    <message>
        <source>sums and counts don't belong together</source>
        <translation>các tổng và số đếm trong đó không khớp nhau</translation>
    </message>
    <message>
        <source>the activations of {name} are not finite: the model is broken here</source>
        <translation>giá trị kích hoạt của {name} không hữu hạn: mô hình bị hỏng ở chỗ này</translation>
    </message>
    <message>
        <source>a context of {count} tokens with a trained length of {trained} has no price: both must be {least} tokens or more</source>
        <translation>ngữ cảnh {count} token với độ dài huấn luyện {trained} thì không đo được cái giá: cả hai phải từ {least} token trở lên</translation>
    </message>
    <message>
        <source>a score writes a reference or is compared with one, not both</source>
        <translation>một lần chấm hoặc ghi bản tham chiếu, hoặc so với bản tham chiếu, không thể cả hai</translation>
    </message>
    <message>
        <source>the reference was made from another text, or with another vocabulary</source>
        <translation>bản tham chiếu được tạo từ văn bản khác, hoặc bằng bộ từ vựng khác</translation>
    </message>
    <message>
        <source>its vocabulary has {count} tokens, the model's {other}: they can't be compared</source>
        <translation>bộ từ vựng của nó có {count} token, của mô hình có {other}: không so sánh được</translation>
    </message>
    <message>
        <source>the reference is no file of log-probabilities</source>
        <translation>bản tham chiếu không phải là tệp log xác suất</translation>
    </message>
    <message>
        <source>the reference ends too soon: make it again from the same text</source>
        <translation>bản tham chiếu kết thúc quá sớm: hãy tạo lại từ cùng văn bản</translation>
    </message>
    <message>
        <source>{name} is no wish: write 5GB, 30t/s or kl 0.05</source>
        <translation>{name} không phải là một mong muốn hợp lệ: hãy viết 5GB, 30t/s hoặc kl 0.05</translation>
    </message>
    <message>
        <source>a wish for speed needs this machine's speed: measure it first</source>
        <translation>muốn đạt tốc độ thì phải biết tốc độ máy này: hãy đo trước</translation>
    </message>
    <message>
        <source>a wish for a loss needs a text to measure it on</source>
        <translation>muốn giới hạn mức mất mát thì cần một văn bản để đo</translation>
    </message>
    <message>
        <source>this machine's speed is not measured yet: hearth estimate --measure</source>
        <translation>tốc độ máy này chưa được đo: hearth estimate --measure</translation>
    </message>
    <message>
        <source>there is no text {name}: name a file, or one of {known}</source>
        <translation>không có văn bản {name}: hãy nêu một tệp, hoặc một trong {known}</translation>
    </message>
    <message>
        <source>{name} is too large for a run card</source>
        <translation>{name} quá lớn so với một thẻ đo</translation>
    </message>
    <message>
        <source>{name} is no run card: {why}</source>
        <translation>{name} không phải là thẻ đo: {why}</translation>
    </message>
    <message>
        <source>{name} is no run card</source>
        <translation>{name} không phải là thẻ đo</translation>
    </message>
    <message>
        <source>{name} was written by a newer Hearth: update to read it</source>
        <translation>{name} do bản Hearth mới hơn ghi: hãy cập nhật để đọc</translation>
    </message>
    <message>
        <source>converting needs Python 3.10 or newer on this machine: install one</source>
        <translation>việc chuyển đổi cần Python 3.10 trở lên trên máy này: hãy cài đặt</translation>
    </message>
    <message>
        <source>{name} holds no converter: it is not {package}'s source archive</source>
        <translation>{name} không chứa bộ chuyển đổi: đó không phải là gói mã nguồn của {package}</translation>
    </message>
    <message>
        <source>{name} is no type to convert to; there are {known}</source>
        <translation>không chuyển sang kiểu {name} được; có các kiểu {known}</translation>
    </message>
    <message>
        <source>it is no Hugging Face model, it has no config.json</source>
        <translation>đó không phải là mô hình Hugging Face, không có config.json</translation>
    </message>
    <message>
        <source>it has no safetensors, and other weights can hold programs and are not read</source>
        <translation>trong đó không có safetensors; các dạng trọng số khác có thể chứa chương trình nên không được đọc</translation>
    </message>
    <message>
        <source>it brings programs of its own, which the converter would run. Read its *.py files, and delete them to convert without</source>
        <translation>nó mang theo chương trình riêng mà bộ chuyển đổi sẽ chạy. Hãy đọc các tệp *.py của nó, và xoá chúng nếu muốn chuyển đổi không cần đến</translation>
    </message>
    <message>
        <source>llama.cpp's converter does not know models of the kind {name}</source>
        <translation>bộ chuyển đổi của llama.cpp không biết loại mô hình {name}</translation>
    </message>
    <message>
        <source>it has no tokenizer, as tokenizer.json is one</source>
        <translation>nó không có bộ tách từ, chẳng hạn tokenizer.json</translation>
    </message>
    <message>
        <source>its part {name} is missing</source>
        <translation>thiếu phần {name} của nó</translation>
    </message>
    <message>
        <source>its file {name} is no safetensors, or cut short</source>
        <translation>tệp {name} của nó không phải là safetensors, hoặc bị cắt cụt</translation>
    </message>
    <message>
        <source>its file {name} is cut short</source>
        <translation>tệp {name} của nó bị cắt cụt</translation>
    </message>
    <message>
        <source>Making an environment in {folder}</source>
        <translation>đang tạo môi trường trong {folder}</translation>
    </message>
    <message>
        <source>Fetching the source archive of {name}</source>
        <translation>đang tải gói mã nguồn của {name}</translation>
    </message>
    <message>
        <source>Unpacking {name}</source>
        <translation>đang giải nén {name}</translation>
    </message>
    <message>
        <source>Installing PyTorch, Transformers and what they need</source>
        <translation>đang cài PyTorch, Transformers và những gì chúng cần</translation>
    </message>
    <message>
        <source>Trying it out</source>
        <translation>đang chạy thử</translation>
    </message>
    <message>
        <source>PyTorch for processors alone is not to be had here: the one for NVIDIA's cards comes instead, with about {size} GB on the disk</source>
        <translation>ở đây không lấy được bản PyTorch chỉ dành cho bộ xử lý: thay vào đó là bản cho card NVIDIA, chiếm khoảng {size} GB trên đĩa</translation>
    </message>
</context>
<context>
    <name>ChatActs</name>
    <message>
        <source>An answer is being written: wait for its end, or stop it.</source>
        <translation>Đang viết một câu trả lời: hãy đợi nó xong, hoặc dừng nó.</translation>
    </message>
    <message>
        <source>Answer changed</source>
        <translation>Đã sửa câu trả lời</translation>
    </message>
    <message>
        <source>Message deleted, with what follows it</source>
        <translation>Đã xóa tin nhắn và những gì theo sau</translation>
    </message>
    <message>
        <source>{title} (branch)</source>
        <translation>{title} (nhánh)</translation>
    </message>
</context>
<context>
    <name>ChatContext</name>
    <message>
        <source>The model shortens this message…</source>
        <translation>Mô hình đang rút gọn tin nhắn này…</translation>
    </message>
    <message>
        <source>The model gave no shorter text. The message stays as it is.</source>
        <translation>Mô hình không viết được bản ngắn hơn. Tin nhắn giữ nguyên.</translation>
    </message>
</context>
<context>
    <name>ChatController</name>
    <message>
        <source>The temporary chat was left</source>
        <translation>Đã rời cuộc trò chuyện tạm thời</translation>
    </message>
</context>
<context>
    <name>ChatList</name>
    <message>
        <source>Nothing found.</source>
        <translation>Không tìm thấy gì.</translation>
    </message>
    <message>
        <source>Take out of the bin</source>
        <translation>Lấy khỏi thùng rác</translation>
    </message>
    <message>
        <source>Delete for good…</source>
        <translation>Xóa vĩnh viễn…</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>Đổi tên</translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation>Bỏ ghim</translation>
    </message>
    <message>
        <source>Pin</source>
        <translation>Ghim</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Thư mục</translation>
    </message>
    <message>
        <source>Colour</source>
        <translation>Màu</translation>
    </message>
    <message>
        <source>Tags…</source>
        <translation>Nhãn…</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>Xuất…</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>None</source>
        <translation>Không có</translation>
    </message>
    <message>
        <source>New folder…</source>
        <translation>Thư mục mới…</translation>
    </message>
    <message>
        <source>Name of the folder</source>
        <translation>Tên thư mục</translation>
    </message>
    <message>
        <source>Tags</source>
        <translation>Thẻ</translation>
    </message>
    <message>
        <source>Tags, with spaces between them</source>
        <translation>Các nhãn, cách nhau bằng dấu cách</translation>
    </message>
    <message>
        <source>Orange</source>
        <translation>Cam</translation>
    </message>
    <message>
        <source>Blue</source>
        <translation>Xanh dương</translation>
    </message>
    <message>
        <source>Green</source>
        <translation>Xanh lá</translation>
    </message>
    <message>
        <source>Violet</source>
        <translation>Tím</translation>
    </message>
    <message>
        <source>Yellow</source>
        <translation>Vàng</translation>
    </message>
    <message>
        <source>Red</source>
        <translation>Đỏ</translation>
    </message>
    <message>
        <source>Rename…</source>
        <translation>Đổi tên…</translation>
    </message>
    <message>
        <source>Dissolve the folder</source>
        <translation>Giải tán thư mục</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Tag</source>
        <translation>Nhãn</translation>
    </message>
    <message>
        <source>Any</source>
        <translation>Bất kỳ</translation>
    </message>
    <message>
        <source>Changed</source>
        <translation>Thay đổi</translation>
    </message>
    <message>
        <source>Show all</source>
        <translation>Hiện tất cả</translation>
    </message>
    <message>
        <source>At any time</source>
        <translation>Bất cứ lúc nào</translation>
    </message>
    <message>
        <source>In the last 24 hours</source>
        <translation>Trong 24 giờ qua</translation>
    </message>
    <message>
        <source>In the last 7 days</source>
        <translation>Trong 7 ngày qua</translation>
    </message>
    <message>
        <source>In the last 30 days</source>
        <translation>Trong 30 ngày qua</translation>
    </message>
    <message>
        <source>In the last year</source>
        <translation>Trong năm qua</translation>
    </message>
    <message>
        <source>New temporary chat</source>
        <translation>Cuộc trò chuyện tạm thời mới</translation>
    </message>
    <message>
        <source>It is never written to the disk.</source>
        <translation>Không bao giờ được ghi xuống đĩa.</translation>
    </message>
    <message>
        <source>Import chats…</source>
        <translation>Nhập cuộc trò chuyện…</translation>
    </message>
    <message>
        <source>Import a folder…</source>
        <translation>Nhập một thư mục…</translation>
    </message>
    <message>
        <source>Export all chats…</source>
        <translation>Xuất mọi cuộc trò chuyện…</translation>
    </message>
    <message>
        <source>Prompts and system prompts…</source>
        <translation>Câu lệnh mẫu và lời nhắc hệ thống…</translation>
    </message>
    <message>
        <source>Leave the bin</source>
        <translation>Rời thùng rác</translation>
    </message>
    <message>
        <source>Bin</source>
        <translation>Thùng rác</translation>
    </message>
    <message>
        <source>Empty the bin…</source>
        <translation>Dọn sạch thùng rác…</translation>
    </message>
    <message>
        <source>Your chats will be listed here. Files from other programs can be dropped.</source>
        <translation>Các cuộc trò chuyện của bạn sẽ nằm ở đây. Có thể thả tệp từ chương trình khác vào.</translation>
    </message>
    <message>
        <source>The bin is empty.</source>
        <translation>Thùng rác trống.</translation>
    </message>
    <message>
        <source>Bin: kept for 30 days</source>
        <translation>Thùng rác: giữ trong 30 ngày</translation>
    </message>
    <message>
        <source>Show all chats again ({words})</source>
        <translation>Hiện lại mọi cuộc trò chuyện ({words})</translation>
    </message>
    <message>
        <source>Show all chats again</source>
        <translation>Hiện lại mọi cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Search chats</source>
        <translation>Tìm trò chuyện</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>Trò chuyện mới</translation>
    </message>
    <message>
        <source>Filter by model, date, folder or tag</source>
        <translation>Lọc theo mô hình, ngày, thư mục hoặc nhãn</translation>
    </message>
    <message>
        <source>Import, export, bin and more</source>
        <translation>Nhập, xuất, thùng rác và nhiều nữa</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>Các cuộc trò chuyện</translation>
    </message>
</context>
<context>
    <name>ChatListModel</name>
    <message>
        <source>New chat</source>
        <translation>Trò chuyện mới</translation>
    </message>
    <message>
        <source>{title}, pinned</source>
        <translation>{title}, đã ghim</translation>
    </message>
    <message>
        <source>Not in a folder</source>
        <translation>Ngoài thư mục</translation>
    </message>
    <message>
        <source>Folder {name}, {count} chats</source>
        <translation>Thư mục {name}, {count} cuộc trò chuyện</translation>
    </message>
</context>
<context>
    <name>ChatPage</name>
    <message>
        <source>New chat</source>
        <translation>Trò chuyện mới</translation>
    </message>
    <message>
        <source>What would you like to know?</source>
        <translation>Bạn muốn biết điều gì?</translation>
    </message>
    <message>
        <source>It is answered on this machine; nothing leaves it.</source>
        <translation>Câu trả lời được viết ngay trên máy này; không gì rời khỏi máy.</translation>
    </message>
    <message>
        <source>Temporary chat</source>
        <translation>Trò chuyện tạm thời</translation>
    </message>
    <message>
        <source>No model here yet</source>
        <translation>Chưa có mô hình nào</translation>
    </message>
    <message>
        <source>A model answers your questions on this machine. The starter model is small and answers at once.</source>
        <translation>Mô hình trả lời câu hỏi của bạn ngay trên máy này. Mô hình khởi đầu nhỏ và trả lời tức thì.</translation>
    </message>
    <message>
        <source>Get the starter model (98 MB)</source>
        <translation>Lấy mô hình khởi đầu (98 MB)</translation>
    </message>
    <message>
        <source>Search for models</source>
        <translation>Tìm mô hình</translation>
    </message>
    <message>
        <source>A temporary chat: it is never written to the disk, and gone when you leave Hearth.</source>
        <translation>Cuộc trò chuyện tạm thời: không bao giờ được ghi xuống đĩa và biến mất khi bạn thoát Hearth.</translation>
    </message>
    <message>
        <source>New temporary chat</source>
        <translation>Cuộc trò chuyện tạm thời mới</translation>
    </message>
    <message>
        <source>Ask a second model the same</source>
        <translation>Hỏi thêm một mô hình thứ hai</translation>
    </message>
    <message>
        <source>System prompt of this chat</source>
        <translation>Lời nhắc hệ thống của cuộc trò chuyện này</translation>
    </message>
    <message>
        <source>Prompts and system prompts</source>
        <translation>Câu lệnh mẫu và lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>Find in this chat</source>
        <translation>Tìm trong cuộc trò chuyện này</translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation>Trả lời lại</translation>
    </message>
    <message>
        <source>Continue the answer</source>
        <translation>Viết tiếp câu trả lời</translation>
    </message>
    <message>
        <source>The next question is answered by a second model, too</source>
        <translation>Câu hỏi tiếp theo cũng được một mô hình thứ hai trả lời</translation>
    </message>
    <message>
        <source>Search for another model</source>
        <translation>Tìm một mô hình khác</translation>
    </message>
    <message>
        <source>By one model only</source>
        <translation>Chỉ một mô hình</translation>
    </message>
    <message>
        <source>The next question goes to {name}, too</source>
        <translation>Câu hỏi tiếp theo cũng được gửi cho {name}</translation>
    </message>
    <message>
        <source>Delete this chat for good?</source>
        <translation>Xóa vĩnh viễn cuộc trò chuyện này?</translation>
    </message>
    <message>
        <source>Empty the bin?</source>
        <translation>Dọn sạch thùng rác?</translation>
    </message>
    <message>
        <source>It can't be taken back.</source>
        <translation>Không thể hoàn tác.</translation>
    </message>
    <message>
        <source>Delete for good</source>
        <translation>Xóa vĩnh viễn</translation>
    </message>
    <message>
        <source>Import chats</source>
        <translation>Nhập cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Exports of LM Studio, Open WebUI, Jan, Ollama, ChatGPT or Hearth (*.json *.jsonl *.zip)</source>
        <translation>Bản xuất của LM Studio, Open WebUI, Jan, Ollama, ChatGPT hoặc Hearth (*.json *.jsonl *.zip)</translation>
    </message>
    <message>
        <source>Import a folder of chats</source>
        <translation>Nhập một thư mục cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Exporting…</source>
        <translation>Đang xuất…</translation>
    </message>
    <message>
        <source>%n chat(s) exported to {path}.</source>
        <translation>Đã xuất %n cuộc trò chuyện vào {path}.</translation>
    </message>
    <message>
        <source>Open the folder</source>
        <translation>Mở thư mục</translation>
    </message>
    <message>
        <source>%n chat(s) could be saved,</source>
        <translation>Đã cứu được %n cuộc trò chuyện,</translation>
    </message>
    <message>
        <source>The damaged file is kept as {name}.</source>
        <translation>Tệp hỏng được giữ lại với tên {name}.</translation>
    </message>
    <message>
        <source>%n chat(s) imported</source>
        <translation>Đã nhập %n cuộc trò chuyện</translation>
    </message>
    <message>
        <source>with %n message(s)</source>
        <translation>với %Ln tin nhắn</translation>
    </message>
    <message>
        <source>%n file(s) could not be read</source>
        <translation>không đọc được %n tệp</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} token</translation>
    </message>
    <message>
        <source>about {count} tokens</source>
        <translation>khoảng {count} token</translation>
    </message>
    <message>
        <source>{tokens}  ·  {share} %</source>
        <translation>{tokens}  ·  {share} %</translation>
    </message>
    <message>
        <source>What this question takes of the context.</source>
        <translation>Phần ngữ cảnh mà câu hỏi này chiếm.</translation>
    </message>
    <message>
        <source>This is more than the model's context holds: shorten it, or load the model with more context.</source>
        <translation>Phần này dài hơn mức ngữ cảnh của mô hình chứa được: hãy rút ngắn, hoặc nạp mô hình với ngữ cảnh lớn hơn.</translation>
    </message>
    <message>
        <source>This model can't see images: the picture is kept with the chat, only the text is sent. Choose a model that sees images, or download the projector (mmproj) of this one beside it.</source>
        <translation>Mô hình này không xem được ảnh: ảnh vẫn được giữ trong cuộc trò chuyện, chỉ văn bản được gửi đi. Hãy chọn một mô hình xem được ảnh, hoặc tải bộ chiếu (mmproj) của mô hình này về cạnh nó.</translation>
    </message>
    <message>
        <source>This model's projector can't be used, so only the text is sent. The engine says: {why}</source>
        <translation>Không dùng được bộ chiếu của mô hình này nên chỉ văn bản được gửi đi. Bộ máy cho biết: {why}</translation>
    </message>
    <message>
        <source>Let go to attach it to your message.</source>
        <translation>Thả ra để đính kèm vào tin nhắn của bạn.</translation>
    </message>
    <message>
        <source>Attach files</source>
        <translation>Đính kèm tệp</translation>
    </message>
    <message>
        <source>Open a link</source>
        <translation>Mở liên kết</translation>
    </message>
    <message>
        <source>The answer links to this address. Open it in your browser?</source>
        <translation>Câu trả lời dẫn tới địa chỉ này. Mở nó trong trình duyệt?</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Mở</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Show or hide the list of chats</source>
        <translation>Hiện hoặc ẩn danh sách trò chuyện</translation>
    </message>
    <message>
        <source>Leave it</source>
        <translation>Rời khỏi</translation>
    </message>
    <message>
        <source>A temporary chat is never written; a new one is kept again.</source>
        <translation>Trò chuyện tạm thời không bao giờ được ghi; cuộc mới sẽ lại được lưu.</translation>
    </message>
</context>
<context>
    <name>ChatShelf</name>
    <message>
        <source>Folder renamed</source>
        <translation>Đã đổi tên thư mục</translation>
    </message>
    <message>
        <source>Folder dissolved</source>
        <translation>Đã giải tán thư mục</translation>
    </message>
    <message>
        <source>Chat deleted</source>
        <translation>Đã xóa cuộc trò chuyện</translation>
    </message>
    <message numerus="yes">
        <source>%n chat(s) imported</source>
        <translation>
            <numerusform>Đã nhập %n cuộc trò chuyện</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Choices</name>
    <message>
        <source>Follow the system</source>
        <translation>Theo hệ thống</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Sáng</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Tối</translation>
    </message>
    <message>
        <source>High contrast, light</source>
        <translation>Tương phản cao, sáng</translation>
    </message>
    <message>
        <source>High contrast, dark</source>
        <translation>Tương phản cao, tối</translation>
    </message>
    <message>
        <source>Simple</source>
        <translation>Đơn giản</translation>
    </message>
    <message>
        <source>Full</source>
        <translation>Đầy đủ</translation>
    </message>
    <message>
        <source>Developer</source>
        <translation>Nhà phát triển</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>Tự động</translation>
    </message>
    <message>
        <source>On</source>
        <translation>Bật</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>Tắt</translation>
    </message>
    <message>
        <source>None</source>
        <translation>Không</translation>
    </message>
    <message>
        <source>By layer</source>
        <translation>Theo lớp</translation>
    </message>
    <message>
        <source>By row</source>
        <translation>Theo hàng</translation>
    </message>
    <message>
        <source>As the model says</source>
        <translation>Theo mô hình</translation>
    </message>
    <message>
        <source>Same as K</source>
        <translation>Giống K</translation>
    </message>
    <message>
        <source>Relaxed</source>
        <translation>Thoáng</translation>
    </message>
    <message>
        <source>Balanced</source>
        <translation>Cân bằng</translation>
    </message>
    <message>
        <source>Strict</source>
        <translation>Chặt chẽ</translation>
    </message>
    <message>
        <source>Custom</source>
        <translation>Tùy chỉnh</translation>
    </message>
    <message>
        <source>Leave out the oldest turns</source>
        <translation>Bỏ các lượt cũ nhất</translation>
    </message>
    <message>
        <source>Keep the first turn</source>
        <translation>Giữ lượt đầu tiên</translation>
    </message>
    <message>
        <source>Stop and say so</source>
        <translation>Dừng và báo</translation>
    </message>
    <message>
        <source>Ask me first</source>
        <translation>Hỏi tôi trước</translation>
    </message>
    <message>
        <source>Never by itself</source>
        <translation>Không bao giờ tự tìm</translation>
    </message>
    <message>
        <source>Every day</source>
        <translation>Hằng ngày</translation>
    </message>
    <message>
        <source>Every week</source>
        <translation>Hằng tuần</translation>
    </message>
    <message>
        <source>Every month</source>
        <translation>Hằng tháng</translation>
    </message>
</context>
<context>
    <name>CodeBlock</name>
    <message>
        <source>Copy the code</source>
        <translation>Sao chép đoạn mã</translation>
    </message>
    <message>
        <source>Save the code to a file</source>
        <translation>Lưu đoạn mã vào tệp</translation>
    </message>
    <message>
        <source>Wrap long lines</source>
        <translation>Ngắt dòng dài</translation>
    </message>
    <message>
        <source>text</source>
        <translation>văn bản</translation>
    </message>
    <message>
        <source>Code, {language}</source>
        <translation>Mã, {language}</translation>
    </message>
    <message>
        <source>Save the code</source>
        <translation>Lưu đoạn mã</translation>
    </message>
</context>
<context>
    <name>CompareQuants</name>
    <message numerus="yes">
        <source>{machine}: %n file(s) the same as here; their KL differs by {gap} at most.</source>
        <translation>
            <numerusform>{machine}: %n tệp giống ở đây; KL chênh nhau nhiều nhất {gap}.</numerusform>
        </translation>
    </message>
    <message>
        <source>{machine}: other files than here.</source>
        <translation>{machine}: các tệp khác với ở đây.</translation>
    </message>
    <message>
        <source>Picture (PNG)…</source>
        <translation>Hình (PNG)…</translation>
    </message>
    <message>
        <source>Table (CSV)…</source>
        <translation>Bảng (CSV)…</translation>
    </message>
    <message>
        <source>Run card…</source>
        <translation>Thẻ đo…</translation>
    </message>
    <message>
        <source>Import a run card…</source>
        <translation>Nhập thẻ đo…</translation>
    </message>
    <message>
        <source>Forget imported cards</source>
        <translation>Quên các thẻ đã nhập</translation>
    </message>
    <message>
        <source>Forget the selected measurement</source>
        <translation>Quên phép đo đang chọn</translation>
    </message>
    <message>
        <source>Picture (*.png)</source>
        <translation>Hình (*.png)</translation>
    </message>
    <message>
        <source>Table (*.csv)</source>
        <translation>Bảng (*.csv)</translation>
    </message>
    <message>
        <source>Run card (*.json)</source>
        <translation>Thẻ đo (*.json)</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Xuất</translation>
    </message>
    <message>
        <source>Written to {path}.</source>
        <translation>Đã ghi vào {path}.</translation>
    </message>
    <message>
        <source>Import a run card</source>
        <translation>Nhập thẻ đo</translation>
    </message>
    <message numerus="yes">
        <source>%n measurement(s) of another copy, made with {engine}.</source>
        <translation>
            <numerusform>%n phép đo của một bản Hearth khác, làm bằng {engine}.</numerusform>
        </translation>
    </message>
    <message>
        <source>Text and reference</source>
        <translation>Văn bản và bản gốc</translation>
    </message>
    <message>
        <source>Measure…</source>
        <translation>Đo…</translation>
    </message>
    <message>
        <source>Export and import</source>
        <translation>Xuất và nhập</translation>
    </message>
    <message>
        <source>Published values</source>
        <translation>Số liệu đã công bố</translation>
    </message>
    <message>
        <source>In plain words</source>
        <translation>Nói dễ hiểu</translation>
    </message>
    <message>
        <source>What was measured</source>
        <translation>Kết quả đo</translation>
    </message>
    <message>
        <source>Size, divergence and speed</source>
        <translation>Kích thước, độ lệch và tốc độ</translation>
    </message>
    <message>
        <source>Nothing measured yet</source>
        <translation>Chưa đo gì cả</translation>
    </message>
    <message>
        <source>A measurement reads a text with the original and with each quant, and tells how often they would go on differently, how large each one is and how fast it answers here.</source>
        <translation>Mỗi phép đo cho bản gốc và từng bản lượng tử hóa đọc cùng một văn bản, rồi cho biết chúng viết tiếp khác nhau bao nhiêu lần, mỗi bản lớn chừng nào và trả lời nhanh ra sao trên máy này.</translation>
    </message>
</context>
<context>
    <name>CompareView</name>
    <message>
        <source>Two answers side by side</source>
        <translation>Hai câu trả lời cạnh nhau</translation>
    </message>
    <message>
        <source>Go on with this one</source>
        <translation>Tiếp tục với câu này</translation>
    </message>
</context>
<context>
    <name>Composer</name>
    <message>
        <source>Enter sends, Shift+Enter starts a line</source>
        <translation>Enter để gửi, Shift+Enter để xuống dòng</translation>
    </message>
    <message>
        <source>Shift+Enter sends, Enter starts a line</source>
        <translation>Shift+Enter để gửi, Enter để xuống dòng</translation>
    </message>
    <message>
        <source>Ask something</source>
        <translation>Hãy hỏi điều gì đó</translation>
    </message>
    <message>
        <source>Your message</source>
        <translation>Tin nhắn của bạn</translation>
    </message>
    <message>
        <source>Stop the answer (Esc)</source>
        <translation>Dừng câu trả lời (Esc)</translation>
    </message>
    <message>
        <source>Send ({keys})</source>
        <translation>Gửi ({keys})</translation>
    </message>
    <message>
        <source>Attach text, code or images</source>
        <translation>Đính kèm văn bản, mã hoặc ảnh</translation>
    </message>
    <message>
        <source>Attach files</source>
        <translation>Đính kèm tệp</translation>
    </message>
    <message>
        <source>Stop the answer</source>
        <translation>Dừng câu trả lời</translation>
    </message>
    <message>
        <source>Send</source>
        <translation>Gửi</translation>
    </message>
</context>
<context>
    <name>ConfirmDialog</name>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
</context>
<context>
    <name>Context</name>
    <message>
        <source>system prompt</source>
        <translation>lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>earlier messages</source>
        <translation>tin nhắn trước đó</translation>
    </message>
    <message>
        <source>documents</source>
        <translation>tài liệu</translation>
    </message>
    <message>
        <source>tools</source>
        <translation>công cụ</translation>
    </message>
    <message>
        <source>last question and answer</source>
        <translation>câu hỏi và trả lời cuối</translation>
    </message>
    <message>
        <source>free</source>
        <translation>còn trống</translation>
    </message>
    <message>
        <source>%n token(s) are used again next turn</source>
        <translation>%Ln token được dùng lại ở lượt sau</translation>
    </message>
</context>
<context>
    <name>ContextBar</name>
    <message>
        <source>Context</source>
        <translation>Ngữ cảnh</translation>
    </message>
    <message>
        <source>{used} of {limit} tokens</source>
        <translation>{used} trên {limit} token</translation>
    </message>
    <message>
        <source>Nearly full: {words}</source>
        <translation>Gần đầy: {words}</translation>
    </message>
    <message>
        <source>What must stay is more than the context holds. Drop or shorten something.</source>
        <translation>Phần bắt buộc giữ đã vượt quá ngữ cảnh. Hãy bỏ hoặc rút gọn bớt.</translation>
    </message>
    <message numerus="yes">
        <source>The next question pushes %n message(s) out of the context</source>
        <translation>
            <numerusform>Câu hỏi tiếp theo đẩy %n tin nhắn ra khỏi ngữ cảnh</numerusform>
        </translation>
    </message>
    <message>
        <source>{what} ({tokens} tokens), beginning with: {text}</source>
        <translation>{what} ({tokens} token), bắt đầu từ: {text}</translation>
    </message>
    <message numerus="yes">
        <source>%n message(s) no longer fit and are left out</source>
        <translation>
            <numerusform>%Ln tin nhắn không còn vừa nên được bỏ ra</numerusform>
        </translation>
    </message>
    <message>
        <source>Show this message</source>
        <translation>Hiện tin nhắn này</translation>
    </message>
    <message>
        <source>The system prompt always stays</source>
        <translation>Lời nhắc hệ thống luôn được giữ</translation>
    </message>
    <message>
        <source>What happens when the context is full</source>
        <translation>Điều xảy ra khi ngữ cảnh đầy</translation>
    </message>
    <message>
        <source>When the context of this chat is full</source>
        <translation>Khi ngữ cảnh của cuộc trò chuyện này đầy</translation>
    </message>
    <message>
        <source>Leave out the oldest turns</source>
        <translation>Bỏ các lượt cũ nhất</translation>
    </message>
    <message>
        <source>Keep the first turn, leave out those after it</source>
        <translation>Giữ lượt đầu, bỏ các lượt sau nó</translation>
    </message>
    <message>
        <source>Stop there and say so</source>
        <translation>Dừng lại và báo cho biết</translation>
    </message>
</context>
<context>
    <name>ContextPanel</name>
    <message>
        <source>Context of this chat</source>
        <translation>Ngữ cảnh của cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>Ngữ cảnh</translation>
    </message>
    <message>
        <source>Known once a model is loaded and has read the chat.</source>
        <translation>Biết được khi một mô hình đã nạp và đọc cuộc trò chuyện.</translation>
    </message>
    <message>
        <source>no model loaded</source>
        <translation>chưa nạp mô hình</translation>
    </message>
    <message>
        <source>of {limit} tokens, {percent} %</source>
        <translation>trên {limit} token, {percent} %</translation>
    </message>
</context>
<context>
    <name>Damage</name>
    <message>
        <source>It can't be read: {reason}.</source>
        <translation>Không đọc được: {reason}.</translation>
    </message>
    <message>
        <source>{missing} of its {total} parts are missing, {first} first.</source>
        <translation>Thiếu {missing} trên {total} phần, trước hết là {first}.</translation>
    </message>
    <message>
        <source>Its bytes are not those that were published: download it again.</source>
        <translation>Nội dung không phải bản đã phát hành: hãy tải lại.</translation>
    </message>
    <message>
        <source>it is made for big-endian machines</source>
        <translation>tệp dành cho máy big-endian</translation>
    </message>
    <message>
        <source>it is in the first GGUF format, which llama.cpp no longer reads</source>
        <translation>tệp ở định dạng GGUF đầu tiên, llama.cpp không còn đọc được</translation>
    </message>
    <message>
        <source>it does not say what architecture it has</source>
        <translation>tệp không ghi kiến trúc của nó</translation>
    </message>
</context>
<context>
    <name>Deletion</name>
    <message>
        <source>Delete {model}?</source>
        <translation>Xóa {model}?</translation>
    </message>
    <message numerus="yes">
        <source>Delete %n model(s)?</source>
        <translation>
            <numerusform>Xóa %n mô hình?</numerusform>
        </translation>
    </message>
    <message>
        <source>{size} go to the system's bin, where there is one, and can be taken back from there. The room is free once the bin is emptied.</source>
        <translation>{size} sẽ vào thùng rác của hệ thống, nếu có, và lấy lại được từ đó. Chỗ trống chỉ có sau khi dọn thùng rác.</translation>
    </message>
    <message>
        <source>Delete {size}</source>
        <translation>Xóa {size}</translation>
    </message>
    <message>
        <source>{model} is in the bin.</source>
        <translation>{model} đã vào thùng rác.</translation>
    </message>
    <message numerus="yes">
        <source>%n model(s) are in the bin.</source>
        <translation>
            <numerusform>%n mô hình đã vào thùng rác.</numerusform>
        </translation>
    </message>
    <message>
        <source>{model} is deleted.</source>
        <translation>{model} đã bị xóa.</translation>
    </message>
    <message numerus="yes">
        <source>%n model(s) are deleted.</source>
        <translation>
            <numerusform>%n mô hình đã bị xóa.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>DeviceBars</name>
    <message>
        <source>Memory of {device}</source>
        <translation>Bộ nhớ của {device}</translation>
    </message>
    <message>
        <source>{needed} needed</source>
        <translation>cần {needed}</translation>
    </message>
    <message>
        <source>{needed} needed, {short} too much</source>
        <translation>cần {needed}, thiếu {short}</translation>
    </message>
    <message>
        <source>{needed} needed, {free} stay free</source>
        <translation>cần {needed}, còn trống {free}</translation>
    </message>
</context>
<context>
    <name>DiscoverPage</name>
    <message>
        <source>Searching…</source>
        <translation>Đang tìm…</translation>
    </message>
    <message numerus="yes">
        <source>%n result(s)</source>
        <translation>
            <numerusform>%n kết quả</numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing found</source>
        <translation>Không tìm thấy gì</translation>
    </message>
    <message>
        <source>No repository with GGUF files matches “{words}”. Try fewer words.</source>
        <translation>Không có kho tệp GGUF nào khớp với “{words}”. Hãy thử ít từ hơn.</translation>
    </message>
    <message>
        <source>Fetching more…</source>
        <translation>Đang lấy thêm…</translation>
    </message>
    <message>
        <source>“{words}” is not the address of a model on the Hub.</source>
        <translation>“{words}” không phải là địa chỉ của một mô hình trên Hub.</translation>
    </message>
    <message>
        <source>No repository with GGUF files matches “{words}” and the filters.</source>
        <translation>Không có kho nào có tệp GGUF khớp với “{words}” và các bộ lọc.</translation>
    </message>
    <message>
        <source>Clear the search</source>
        <translation>Xóa từ tìm kiếm</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
    <message>
        <source>Filters ({count})</source>
        <translation>Bộ lọc ({count})</translation>
    </message>
    <message>
        <source>Filters</source>
        <translation>Bộ lọc</translation>
    </message>
    <message>
        <source>Opening {repo}…</source>
        <translation>Đang mở {repo}…</translation>
    </message>
    <message>
        <source>Discover</source>
        <translation>Khám phá</translation>
    </message>
    <message>
        <source>Search the Hub, or paste a model's address</source>
        <translation>Tìm trên Hub, hoặc dán địa chỉ của mô hình</translation>
    </message>
    <message>
        <source>Search the Hub</source>
        <translation>Tìm trên Hub</translation>
    </message>
    <message>
        <source>Order</source>
        <translation>Thứ tự</translation>
    </message>
    <message>
        <source>Results</source>
        <translation>Kết quả</translation>
    </message>
    <message>
        <source>Best match</source>
        <translation>Khớp nhất</translation>
    </message>
    <message>
        <source>Trending</source>
        <translation>Thịnh hành</translation>
    </message>
    <message>
        <source>Most downloaded</source>
        <translation>Tải nhiều nhất</translation>
    </message>
    <message>
        <source>Most liked</source>
        <translation>Được thích nhất</translation>
    </message>
    <message>
        <source>Recently updated</source>
        <translation>Mới cập nhật</translation>
    </message>
</context>
<context>
    <name>DiskUse</name>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Size (GB)</source>
        <translation>Cỡ (GB)</translation>
    </message>
    <message>
        <source>Used</source>
        <translation>Dùng lần cuối</translation>
    </message>
    <message>
        <source>Times used</source>
        <translation>Số lần dùng</translation>
    </message>
    <message>
        <source>Models take {size}</source>
        <translation>Mô hình chiếm {size}</translation>
    </message>
    <message>
        <source>{size} are free on this disk</source>
        <translation>ổ đĩa này còn trống {size}</translation>
    </message>
    <message>
        <source>Delete {size}…</source>
        <translation>Xóa {size}…</translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation>Xóa…</translation>
    </message>
    <message>
        <source>used this week</source>
        <translation>dùng trong tuần này</translation>
    </message>
    <message>
        <source>in the last two months</source>
        <translation>trong hai tháng qua</translation>
    </message>
    <message>
        <source>longer ago or never</source>
        <translation>lâu hơn hoặc chưa bao giờ</translation>
    </message>
    <message>
        <source>What to delete first</source>
        <translation>Nên xóa gì trước</translation>
    </message>
    <message>
        <source>Large and long unused comes first; favourites and loaded models stay.</source>
        <translation>Lớn và lâu không dùng đứng trước; mô hình yêu thích và đang nạp được giữ.</translation>
    </message>
    <message>
        <source>Models by size</source>
        <translation>Mô hình theo kích thước</translation>
    </message>
</context>
<context>
    <name>DownloadDetails</name>
    <message numerus="yes">
        <source>and %n further file(s)</source>
        <translation>
            <numerusform>và %n tệp nữa</numerusform>
        </translation>
    </message>
    <message>
        <source>Show in the folder</source>
        <translation>Hiện trong thư mục</translation>
    </message>
    <message>
        <source>{name}: verified, sha256 {digest}</source>
        <translation>{name}: đã kiểm chứng, sha256 {digest}</translation>
    </message>
    <message>
        <source>{name}: not begun</source>
        <translation>{name}: chưa bắt đầu</translation>
    </message>
    <message>
        <source>{name}: {done} of {total} are here</source>
        <translation>{name}: đã có {done} trên {total}</translation>
    </message>
</context>
<context>
    <name>Downloads</name>
    <message>
        <source>Queued</source>
        <translation>Đang chờ lượt</translation>
    </message>
    <message>
        <source>Downloading</source>
        <translation>Đang tải</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>Tạm dừng</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>Đang đợi</translation>
    </message>
    <message>
        <source>Checking</source>
        <translation>Đang kiểm tra</translation>
    </message>
    <message>
        <source>Done, verified</source>
        <translation>Xong, đã kiểm</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Thất bại</translation>
    </message>
    <message>
        <source>Cancelled</source>
        <translation>Đã hủy</translation>
    </message>
</context>
<context>
    <name>DownloadsPage</name>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Trạng thái</translation>
    </message>
    <message>
        <source>Progress</source>
        <translation>Tiến độ</translation>
    </message>
    <message>
        <source>Size (GB)</source>
        <translation>Cỡ (GB)</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Tốc độ</translation>
    </message>
    <message>
        <source>Time left</source>
        <translation>Còn lại</translation>
    </message>
    <message>
        <source>Move up</source>
        <translation>Chuyển lên</translation>
    </message>
    <message>
        <source>Move down</source>
        <translation>Chuyển xuống</translation>
    </message>
    <message>
        <source>Move to the top</source>
        <translation>Chuyển lên đầu</translation>
    </message>
    <message>
        <source>Page on the Hub</source>
        <translation>Trang trên Hub</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Tạm dừng</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Tiếp tục</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
    <message>
        <source>Cancel and delete what came</source>
        <translation>Hủy và xóa phần đã tải</translation>
    </message>
    <message>
        <source>Load it</source>
        <translation>Nạp nó</translation>
    </message>
    <message>
        <source>Take off this list</source>
        <translation>Bỏ khỏi danh sách</translation>
    </message>
    <message>
        <source>Cancel this download?</source>
        <translation>Hủy lượt tải này?</translation>
    </message>
    <message>
        <source>Cancel the download</source>
        <translation>Hủy lượt tải</translation>
    </message>
    <message numerus="yes">
        <source>Cancel %n download(s)?</source>
        <translation>
            <numerusform>Hủy %n lượt tải?</numerusform>
        </translation>
    </message>
    <message>
        <source>{size} that came already are deleted.</source>
        <translation>{size} đã tải sẽ bị xóa.</translation>
    </message>
    <message>
        <source>Cancel all</source>
        <translation>Hủy tất cả</translation>
    </message>
    <message>
        <source>{count} under way</source>
        <translation>{count} đang tải</translation>
    </message>
    <message>
        <source>{count} under way, {speed}, {left} left</source>
        <translation>{count} đang tải, {speed}, còn {left}</translation>
    </message>
    <message>
        <source>{free} free in {folder}</source>
        <translation>Còn trống {free} trong {folder}</translation>
    </message>
    <message>
        <source>; {size} are still to come</source>
        <translation>; còn {size} phải tải</translation>
    </message>
    <message>
        <source>Get access…</source>
        <translation>Xin quyền…</translation>
    </message>
    <message>
        <source>Downloads</source>
        <translation>Tải xuống</translation>
    </message>
    <message>
        <source>Pause all</source>
        <translation>Tạm dừng tất cả</translation>
    </message>
    <message>
        <source>Resume all</source>
        <translation>Tiếp tục tất cả</translation>
    </message>
    <message>
        <source>Try all again</source>
        <translation>Thử lại tất cả</translation>
    </message>
    <message>
        <source>Clear finished</source>
        <translation>Dọn mục đã xong</translation>
    </message>
    <message>
        <source>Nothing is being downloaded</source>
        <translation>Không có gì đang tải</translation>
    </message>
    <message>
        <source>Models you download appear here with their speed and time left. They go on after a restart.</source>
        <translation>Mô hình bạn tải hiện ở đây với tốc độ và thời gian còn lại. Chúng tải tiếp sau khi khởi động lại.</translation>
    </message>
    <message>
        <source>Search for a model</source>
        <translation>Tìm mô hình</translation>
    </message>
</context>
<context>
    <name>Editor</name>
    <message>
        <source>Edit the message</source>
        <translation>Sửa tin nhắn</translation>
    </message>
    <message>
        <source>Send again</source>
        <translation>Gửi lại</translation>
    </message>
    <message>
        <source>Keep the change</source>
        <translation>Giữ thay đổi</translation>
    </message>
    <message>
        <source>Ctrl+Enter</source>
        <translation>Ctrl+Enter</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Esc</source>
        <translation>Esc</translation>
    </message>
</context>
<context>
    <name>EmptyState</name>
    <message>
        <source>Details</source>
        <translation>Chi tiết</translation>
    </message>
</context>
<context>
    <name>EnginesCard</name>
    <message>
        <source>Processor</source>
        <translation>Bộ xử lý</translation>
    </message>
    <message>
        <source>{device}: always there; it computes what no GPU takes.</source>
        <translation>{device}: luôn có sẵn; tính phần mà không GPU nào đảm nhận.</translation>
    </message>
    <message>
        <source>Backend for {device}</source>
        <translation>Bộ máy cho {device}</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>Tự động</translation>
    </message>
    <message>
        <source>No backend drives it: a pack for it, or its driver, is missing.</source>
        <translation>Chưa có bộ máy nào điều khiển nó: thiếu gói dành cho nó, hoặc thiếu trình điều khiển.</translation>
    </message>
    <message>
        <source>{device}: chosen by you.</source>
        <translation>{device}: do bạn chọn.</translation>
    </message>
    <message>
        <source>Not used: you chose other devices.</source>
        <translation>Không dùng: bạn đã chọn thiết bị khác.</translation>
    </message>
    <message>
        <source>{device}: the processor imitating a GPU; not used by itself.</source>
        <translation>{device}: bộ xử lý giả lập GPU; không tự động được dùng.</translation>
    </message>
    <message>
        <source>{device}: its maker's own backend before {others}.</source>
        <translation>{device}: bộ máy của chính hãng, ưu tiên hơn {others}.</translation>
    </message>
    <message>
        <source>{device}: the one backend that drives it.</source>
        <translation>{device}: bộ máy duy nhất điều khiển nó.</translation>
    </message>
    <message>
        <source>Go back to the one before</source>
        <translation>Quay lại gói trước</translation>
    </message>
    <message>
        <source>Turn off</source>
        <translation>Tắt</translation>
    </message>
    <message>
        <source>Use</source>
        <translation>Dùng</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Gỡ bỏ</translation>
    </message>
    <message>
        <source>came with Hearth</source>
        <translation>đi kèm Hearth</translation>
    </message>
    <message>
        <source>Not used: {why}.</source>
        <translation>Không dùng: {why}.</translation>
    </message>
    <message>
        <source>installed by you</source>
        <translation>do bạn cài</translation>
    </message>
    <message>
        <source>named in the settings</source>
        <translation>ghi trong cài đặt</translation>
    </message>
    <message>
        <source>named by HEARTH_PACKS</source>
        <translation>ghi trong HEARTH_PACKS</translation>
    </message>
    <message>
        <source>Backend pack, {origin}: used. The engine crashed on it; the next time it is turned off.</source>
        <translation>Gói bộ máy, {origin}: đang dùng. Bộ máy đã bị sập trên nó; lần sau gói sẽ bị tắt.</translation>
    </message>
    <message>
        <source>Backend pack, {origin}: used.</source>
        <translation>Gói bộ máy, {origin}: đang dùng.</translation>
    </message>
    <message>
        <source>Backend pack, {origin}: not used, {why}.</source>
        <translation>Gói bộ máy, {origin}: không dùng, {why}.</translation>
    </message>
    <message>
        <source>Trying it out…</source>
        <translation>Đang chạy thử…</translation>
    </message>
    <message>
        <source>Remove {name}?</source>
        <translation>Gỡ bỏ {name}?</translation>
    </message>
    <message>
        <source>Its files are deleted. It can be installed again from where it came.</source>
        <translation>Các tệp của nó sẽ bị xóa. Có thể cài lại từ nơi nó đến.</translation>
    </message>
    <message>
        <source>Install a backend pack</source>
        <translation>Cài một gói bộ máy</translation>
    </message>
    <message>
        <source>Backend packs (*.tar.xz *.tar.gz *.zip manifest.json)</source>
        <translation>Gói bộ máy (*.tar.xz *.tar.gz *.zip manifest.json)</translation>
    </message>
    <message>
        <source>Address (https, or http with #sha256=…):</source>
        <translation>Địa chỉ (https, hoặc http kèm #sha256=…):</translation>
    </message>
    <message>
        <source>Fetching, verifying and trying it out…</source>
        <translation>Đang tải, kiểm tra và chạy thử…</translation>
    </message>
    <message>
        <source>Asking the devices…</source>
        <translation>Đang hỏi các thiết bị…</translation>
    </message>
    <message>
        <source>Engines</source>
        <translation>Các bộ máy</translation>
    </message>
    <message>
        <source>Install from a file…</source>
        <translation>Cài từ tệp…</translation>
    </message>
    <message>
        <source>Install from an address…</source>
        <translation>Cài từ địa chỉ…</translation>
    </message>
</context>
<context>
    <name>ErrorCard</name>
    <message>
        <source>Details</source>
        <translation>Chi tiết</translation>
    </message>
    <message>
        <source>Copy details</source>
        <translation>Sao chép chi tiết</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
</context>
<context>
    <name>Errors</name>
    <message>
        <source>Accept it on its page; the download then goes on.</source>
        <translation>Hãy chấp nhận trên trang của nó; sau đó việc tải tiếp tục.</translation>
    </message>
    <message>
        <source>Another Hearth is downloading {path} already.</source>
        <translation>Một Hearth khác đang tải {path}.</translation>
    </message>
    <message>
        <source>Check the network or the proxy; models on this machine still work.</source>
        <translation>Hãy kiểm tra mạng hoặc proxy; mô hình trên máy này vẫn dùng được.</translation>
    </message>
    <message>
        <source>Choose a file that ends in .gguf.</source>
        <translation>Hãy chọn tệp có đuôi .gguf.</translation>
    </message>
    <message>
        <source>Choose a file that llama-imatrix or this program wrote, or compute one from a text.</source>
        <translation>Hãy chọn một tệp do llama-imatrix hoặc chương trình này ghi, hoặc tính ma trận từ một văn bản.</translation>
    </message>
    <message>
        <source>Choose another folder, or give yourself the right to write there.</source>
        <translation>Hãy chọn thư mục khác, hoặc cấp cho mình quyền ghi ở đó.</translation>
    </message>
    <message>
        <source>Choose one of these.</source>
        <translation>Hãy chọn một trong số này.</translation>
    </message>
    <message>
        <source>Choose the file whose SHA-256 the recipe names (--imatrix).</source>
        <translation>Hãy chọn tệp có SHA-256 ghi trong công thức (--imatrix).</translation>
    </message>
    <message>
        <source>Choose the file whose SHA-256 the recipe names.</source>
        <translation>Hãy chọn tệp có SHA-256 ghi trong công thức.</translation>
    </message>
    <message>
        <source>Close other programs and try again; hearth doctor names what is wrong with a driver.</source>
        <translation>Hãy đóng các chương trình khác rồi thử lại; hearth doctor sẽ cho biết trình điều khiển bị lỗi gì.</translation>
    </message>
    <message>
        <source>Compute one from a text, or give a finished one (--imatrix).</source>
        <translation>Hãy tính từ một văn bản, hoặc đưa một ma trận có sẵn (--imatrix).</translation>
    </message>
    <message>
        <source>Compute one with this model, or choose another file.</source>
        <translation>Hãy tính ma trận bằng mô hình này, hoặc chọn tệp khác.</translation>
    </message>
    <message>
        <source>Download it again.</source>
        <translation>Hãy tải lại.</translation>
    </message>
    <message>
        <source>Enter one in the settings under Updates, with the public key that belongs to it.</source>
        <translation>Hãy nhập địa chỉ trong cài đặt, mục Cập nhật, cùng khóa công khai của nó.</translation>
    </message>
    <message>
        <source>Enter the one that the address's owner names (Ed25519, in base64) in the settings under Updates.</source>
        <translation>Hãy nhập khóa mà chủ địa chỉ công bố (Ed25519, dạng base64) trong cài đặt, mục Cập nhật.</translation>
    </message>
    <message>
        <source>Free some space, then try again.</source>
        <translation>Hãy giải phóng chỗ trống rồi thử lại.</translation>
    </message>
    <message>
        <source>Free some space; it goes on by itself.</source>
        <translation>Hãy dọn bớt chỗ; nó sẽ tự tiếp tục.</translation>
    </message>
    <message>
        <source>Get the new version the way you got this one.</source>
        <translation>Hãy lấy bản mới theo cách bạn đã lấy bản này.</translation>
    </message>
    <message>
        <source>Give yourself the right to write there, or start Hearth with HEARTH_HOME set to another folder.</source>
        <translation>Hãy cấp cho mình quyền ghi ở đó, hoặc mở Hearth với HEARTH_HOME trỏ tới thư mục khác.</translation>
    </message>
    <message>
        <source>Hearth is already running with the folder {path}.</source>
        <translation>Hearth đang chạy với thư mục {path}.</translation>
    </message>
    <message>
        <source>Hearth is installed in {path}, which you may not write to.</source>
        <translation>Hearth được cài ở {path}, nơi bạn không có quyền ghi.</translation>
    </message>
    <message>
        <source>Hearth stays as it is.</source>
        <translation>Hearth vẫn giữ nguyên.</translation>
    </message>
    <message>
        <source>Hearth stays as it is. Check the address in the settings.</source>
        <translation>Hearth vẫn giữ nguyên. Hãy kiểm tra địa chỉ trong cài đặt.</translation>
    </message>
    <message>
        <source>Hearth stays as it is. Check the network and the address, and try again.</source>
        <translation>Hearth vẫn giữ nguyên. Hãy kiểm tra mạng và địa chỉ rồi thử lại.</translation>
    </message>
    <message>
        <source>Hearth {found} can't be installed over {known}: it needs {minimum} or newer there.</source>
        <translation>Không thể cài Hearth {found} đè lên {known}: cần có sẵn bản {minimum} trở lên.</translation>
    </message>
    <message>
        <source>Hearth {found} has no file for this system ({system}, as {form}).</source>
        <translation>Hearth {found} không có tệp cho hệ thống này ({system}, dạng {form}).</translation>
    </message>
    <message>
        <source>Image {number} can't be shown to the model: {detail}.</source>
        <translation>Không đưa được ảnh {number} cho mô hình xem: {detail}.</translation>
    </message>
    <message>
        <source>Install Hearth again.</source>
        <translation>Hãy cài lại Hearth.</translation>
    </message>
    <message>
        <source>Install {minimum} first, or the new one by its own installer; models and chats stay.</source>
        <translation>Hãy cài {minimum} trước, hoặc cài bản mới bằng bộ cài riêng của nó; mô hình và trò chuyện vẫn còn.</translation>
    </message>
    <message>
        <source>Installing did not work: {detail}.</source>
        <translation>Cài đặt không thành công: {detail}.</translation>
    </message>
    <message>
        <source>It can write {known}.</source>
        <translation>Có thể ghi {known}.</translation>
    </message>
    <message>
        <source>It goes on here when that one stops.</source>
        <translation>Ở đây sẽ tiếp tục khi bên kia dừng.</translation>
    </message>
    <message>
        <source>It may have been moved, or be private.</source>
        <translation>Có thể nó đã chuyển chỗ, hoặc là riêng tư.</translation>
    </message>
    <message>
        <source>It reconnects by itself.</source>
        <translation>Nó sẽ tự kết nối lại.</translation>
    </message>
    <message>
        <source>It starts again with the new version.</source>
        <translation>Nó bắt đầu lại với phiên bản mới.</translation>
    </message>
    <message>
        <source>It was not used: somebody may be holding a newer one back.</source>
        <translation>Danh sách đó không được dùng: có thể ai đó đang giấu bản mới hơn.</translation>
    </message>
    <message>
        <source>It was opened read-only so that nothing more is lost.</source>
        <translation>Tệp được mở chỉ để đọc nhằm không mất thêm gì.</translation>
    </message>
    <message>
        <source>It was removed and nothing else was changed; download it again.</source>
        <translation>Tệp đó đã bị xóa, ngoài ra không có gì thay đổi; hãy tải lại.</translation>
    </message>
    <message>
        <source>Leave it out, or save it anew as PNG or JPEG.</source>
        <translation>Hãy bỏ ảnh ra, hoặc lưu lại thành PNG hay JPEG.</translation>
    </message>
    <message>
        <source>Load it again to go on without the pack. Settings &gt; Engines goes back to the pack before.</source>
        <translation>Nạp lại để chạy tiếp mà không có gói này. Cài đặt &gt; Bộ máy quay về gói trước đó.</translation>
    </message>
    <message>
        <source>Load it first.</source>
        <translation>Hãy nạp nó trước.</translation>
    </message>
    <message>
        <source>Load it with another template.</source>
        <translation>Hãy nạp với một mẫu khác.</translation>
    </message>
    <message>
        <source>Loading {model} was stopped.</source>
        <translation>Đã dừng nạp {model}.</translation>
    </message>
    <message>
        <source>Look at what is on this machine, or search for it.</source>
        <translation>Hãy xem những gì có trên máy, hoặc tìm nó.</translation>
    </message>
    <message>
        <source>No address for updates is set, so nothing was looked for.</source>
        <translation>Chưa đặt địa chỉ cập nhật nên Hearth chưa tìm gì cả.</translation>
    </message>
    <message>
        <source>No bytes came for {seconds} s.</source>
        <translation>Không nhận được byte nào trong {seconds} giây.</translation>
    </message>
    <message>
        <source>No earlier version is kept here, so there is nothing to go back to.</source>
        <translation>Ở đây không giữ phiên bản cũ nào nên không có gì để quay lại.</translation>
    </message>
    <message>
        <source>No model here is called {name}.</source>
        <translation>Không có mô hình nào tên {name}.</translation>
    </message>
    <message>
        <source>Nothing can be written in {path}.</source>
        <translation>Không ghi được vào {path}.</translation>
    </message>
    <message>
        <source>Nothing was changed. Update it as the person who installed it.</source>
        <translation>Không có gì thay đổi. Hãy cập nhật bằng tài khoản đã cài Hearth.</translation>
    </message>
    <message>
        <source>Original weights are converted first, which needs an environment of its own: it is not set up here.</source>
        <translation>Trọng số gốc được chuyển đổi trước, việc đó cần một môi trường riêng: ở đây chưa cài.</translation>
    </message>
    <message>
        <source>Port {free} is free.</source>
        <translation>Cổng {free} còn trống.</translation>
    </message>
    <message>
        <source>Port {port} is used by another program.</source>
        <translation>Cổng {port} đang được chương trình khác dùng.</translation>
    </message>
    <message>
        <source>Shorten it, load with more context, or let old messages be dropped.</source>
        <translation>Hãy rút ngắn, nạp với ngữ cảnh lớn hơn, hoặc cho bỏ tin nhắn cũ.</translation>
    </message>
    <message>
        <source>Sign in with a token that may read it.</source>
        <translation>Hãy đăng nhập bằng mã có quyền đọc.</translation>
    </message>
    <message>
        <source>Somebody may have changed it, or its owner has a new key; ask them before you change yours.</source>
        <translation>Có thể ai đó đã sửa nó, hoặc chủ của nó đã có khóa mới; hãy hỏi họ trước khi bạn đổi khóa.</translation>
    </message>
    <message>
        <source>Something went wrong inside the engine: {detail}.</source>
        <translation>Có lỗi bên trong bộ máy: {detail}.</translation>
    </message>
    <message>
        <source>Something went wrong.</source>
        <translation>Đã có lỗi xảy ra.</translation>
    </message>
    <message>
        <source>Take a longer text: about 4 characters make a token.</source>
        <translation>Hãy chọn văn bản dài hơn: khoảng 4 ký tự là một token.</translation>
    </message>
    <message>
        <source>Take a model with a vision projector (an mmproj file beside it), or leave the images out.</source>
        <translation>Hãy dùng mô hình có bộ chiếu hình ảnh (tệp mmproj nằm cạnh nó), hoặc bỏ ảnh ra.</translation>
    </message>
    <message>
        <source>The Hub answered with an error: {detail}.</source>
        <translation>Hub trả lời lỗi: {detail}.</translation>
    </message>
    <message>
        <source>The Hub asks us to wait {seconds} s before the next request.</source>
        <translation>Hub yêu cầu đợi {seconds} giây trước yêu cầu kế tiếp.</translation>
    </message>
    <message>
        <source>The Hub has a problem of its own (HTTP {status}).</source>
        <translation>Hub đang gặp sự cố (HTTP {status}).</translation>
    </message>
    <message>
        <source>The Hub refused access to {what}.</source>
        <translation>Hub từ chối cho truy cập {what}.</translation>
    </message>
    <message>
        <source>The Lab page or hearth lab setup makes it.</source>
        <translation>Trang Thí nghiệm hoặc lệnh hearth lab setup sẽ tạo ra nó.</translation>
    </message>
    <message>
        <source>The answer's format can't be enforced: {detail}.</source>
        <translation>Không thể ép định dạng câu trả lời: {detail}.</translation>
    </message>
    <message>
        <source>The download broke: {detail}.</source>
        <translation>Việc tải bị gián đoạn: {detail}.</translation>
    </message>
    <message>
        <source>The download was stopped.</source>
        <translation>Đã dừng tải.</translation>
    </message>
    <message>
        <source>The engine (llama.cpp) can't be started: {detail}.</source>
        <translation>Không khởi động được bộ máy (llama.cpp): {detail}.</translation>
    </message>
    <message>
        <source>The engine of {model} died ({why}) for the second time in a row on the pack {pack}, which is off now.</source>
        <translation>Bộ máy của {model} đã chết ({why}) lần thứ hai liên tiếp trên gói {pack}; gói này nay đã tắt.</translation>
    </message>
    <message>
        <source>The engine of {model} died ({why}).</source>
        <translation>Bộ máy của {model} đã chết ({why}).</translation>
    </message>
    <message>
        <source>The engine pack {path} is not used: {detail}.</source>
        <translation>Gói bộ máy {path} không được dùng: {detail}.</translation>
    </message>
    <message>
        <source>The engine stopped: {detail}.</source>
        <translation>Bộ máy đã dừng: {detail}.</translation>
    </message>
    <message>
        <source>The file {path} is damaged: {detail}.</source>
        <translation>Tệp {path} bị hỏng: {detail}.</translation>
    </message>
    <message>
        <source>The file {path} was written by a newer Hearth (format {found}, this one knows {known}).</source>
        <translation>Tệp {path} do Hearth mới hơn ghi (định dạng {found}, bản này biết {known}).</translation>
    </message>
    <message>
        <source>The header of {path} can't be read: {detail}.</source>
        <translation>Không đọc được phần đầu của {path}: {detail}.</translation>
    </message>
    <message>
        <source>The lab can't do this: {detail}.</source>
        <translation>Phòng thí nghiệm không làm được việc này: {detail}.</translation>
    </message>
    <message>
        <source>The list of updates from {host} is not signed by the key that you trust: nothing of it was used.</source>
        <translation>Danh sách cập nhật từ {host} không được ký bằng khóa mà bạn tin cậy: không dùng bất cứ gì trong đó.</translation>
    </message>
    <message>
        <source>The matrix {matrix} belongs to another model than {model}.</source>
        <translation>Ma trận {matrix} thuộc về mô hình khác, không phải {model}.</translation>
    </message>
    <message>
        <source>The model's chat template failed: {detail}.</source>
        <translation>Mẫu trò chuyện của mô hình bị lỗi: {detail}.</translation>
    </message>
    <message>
        <source>The present version is still in place.</source>
        <translation>Phiên bản hiện tại vẫn còn nguyên.</translation>
    </message>
    <message>
        <source>The prompt has {tokens} tokens and the context holds {limit}.</source>
        <translation>Lời nhắc có {tokens} token còn ngữ cảnh chứa {limit}.</translation>
    </message>
    <message>
        <source>The recipe needs the importance matrix {name}, which was not found here.</source>
        <translation>Công thức cần ma trận tầm quan trọng {name}, nhưng ở đây không tìm thấy.</translation>
    </message>
    <message>
        <source>The recipe was made with {theirs}, this is {ours}: another llama.cpp can make other bytes.</source>
        <translation>Công thức được tạo bằng {theirs}, ở đây là {ours}: llama.cpp khác có thể cho ra byte khác.</translation>
    </message>
    <message>
        <source>The request can't be served: {detail}.</source>
        <translation>Không thể phục vụ yêu cầu: {detail}.</translation>
    </message>
    <message>
        <source>The server can't listen on {host}:{port}: {detail}.</source>
        <translation>Máy chủ không mở được {host}:{port}: {detail}.</translation>
    </message>
    <message>
        <source>The setting {key} can't be {value}: {detail}.</source>
        <translation>Cài đặt {key} không thể là {value}: {detail}.</translation>
    </message>
    <message>
        <source>The settings file {path} can't be read.</source>
        <translation>Không đọc được tệp cài đặt {path}.</translation>
    </message>
    <message>
        <source>The source is as it was, and nothing half was left behind.</source>
        <translation>Tệp gốc vẫn nguyên vẹn và không còn phần dở dang nào.</translation>
    </message>
    <message>
        <source>The speed of {device} could not be measured: {detail}.</source>
        <translation>Không đo được tốc độ của {device}: {detail}.</translation>
    </message>
    <message>
        <source>The update {path} can't be used: {detail}.</source>
        <translation>Không dùng được bản cập nhật {path}: {detail}.</translation>
    </message>
    <message>
        <source>The work on {model} ended without a result: {detail}.</source>
        <translation>Công việc với {model} đã kết thúc mà không có kết quả: {detail}.</translation>
    </message>
    <message>
        <source>There is no public key to check updates with: {detail}.</source>
        <translation>Không có khóa công khai để kiểm tra bản cập nhật: {detail}.</translation>
    </message>
    <message>
        <source>There is no room on the disk that holds {path}: {missing} more are needed.</source>
        <translation>Đĩa chứa {path} đã hết chỗ: cần thêm {missing}.</translation>
    </message>
    <message>
        <source>There is not enough memory for {model}: {detail}.</source>
        <translation>Không đủ bộ nhớ cho {model}: {detail}.</translation>
    </message>
    <message>
        <source>This copy of Hearth was not made by one of its installers ({path}), so it can't replace itself.</source>
        <translation>Bản Hearth này không do bộ cài nào của nó tạo ra ({path}), nên không thể tự thay thế.</translation>
    </message>
    <message>
        <source>To go back to the version before this one, roll back.</source>
        <translation>Muốn về phiên bản trước, hãy dùng chức năng quay lại.</translation>
    </message>
    <message>
        <source>Try again in a moment.</source>
        <translation>Hãy thử lại sau giây lát.</translation>
    </message>
    <message>
        <source>Try again then.</source>
        <translation>Hãy thử lại khi đó.</translation>
    </message>
    <message>
        <source>Try again; a matrix goes on where it was, the rest starts anew.</source>
        <translation>Hãy thử lại; ma trận được tính tiếp từ chỗ dừng, phần còn lại bắt đầu lại từ đầu.</translation>
    </message>
    <message>
        <source>Unload it first.</source>
        <translation>Hãy gỡ nó ra trước.</translation>
    </message>
    <message>
        <source>Update Hearth to open it.</source>
        <translation>Hãy cập nhật Hearth để mở nó.</translation>
    </message>
    <message>
        <source>Use less context, fewer GPU layers, or a smaller quant.</source>
        <translation>Hãy dùng ngữ cảnh nhỏ hơn, ít lớp GPU hơn, hoặc bản lượng tử nhỏ hơn.</translation>
    </message>
    <message>
        <source>Use that window, or set HEARTH_HOME to another folder.</source>
        <translation>Hãy dùng cửa sổ đó, hoặc đặt HEARTH_HOME sang thư mục khác.</translation>
    </message>
    <message>
        <source>Wait for it, or take another name.</source>
        <translation>Hãy đợi xong, hoặc dùng tên khác.</translation>
    </message>
    <message>
        <source>What it held is kept in {kept}; the settings are as on the first day.</source>
        <translation>Nội dung cũ được giữ trong {kept}; các cài đặt trở về như ngày đầu.</translation>
    </message>
    <message>
        <source>What was written so far is kept. Load it again to go on.</source>
        <translation>Phần đã viết được giữ lại. Hãy nạp lại để tiếp tục.</translation>
    </message>
    <message>
        <source>What {host} answered is no list of updates: {detail}.</source>
        <translation>{host} trả về thứ không phải danh sách cập nhật: {detail}.</translation>
    </message>
    <message>
        <source>Write more of the name.</source>
        <translation>Hãy viết rõ tên hơn.</translation>
    </message>
    <message>
        <source>{file} came out with other bytes than the recipe's and was removed.</source>
        <translation>{file} có byte khác với công thức nên đã bị xóa.</translation>
    </message>
    <message>
        <source>{file} has {tokens} tokens; at least {needed} are needed.</source>
        <translation>{file} có {tokens} token; cần ít nhất {needed}.</translation>
    </message>
    <message>
        <source>{file} is being written by another job, or waits for one in the lab's queue already.</source>
        <translation>{file} đang được một việc khác ghi, hoặc đã chờ sẵn trong hàng đợi của phòng thí nghiệm.</translation>
    </message>
    <message>
        <source>{file} is no recipe of a quant: {detail}.</source>
        <translation>{file} không phải công thức của một bản lượng tử hóa: {detail}.</translation>
    </message>
    <message>
        <source>{file} is not the matrix of the recipe ({name}).</source>
        <translation>{file} không phải ma trận trong công thức ({name}).</translation>
    </message>
    <message>
        <source>{file} is not the source of the recipe ({name}).</source>
        <translation>{file} không phải nguồn trong công thức ({name}).</translation>
    </message>
    <message>
        <source>{folder} can't be converted: {detail}.</source>
        <translation>Không thể chuyển đổi {folder}: {detail}.</translation>
    </message>
    <message>
        <source>{host} can't be reached: {detail}.</source>
        <translation>Không kết nối được {host}: {detail}.</translation>
    </message>
    <message>
        <source>{host} did not give what was asked for: {detail}.</source>
        <translation>{host} không trả về thứ được yêu cầu: {detail}.</translation>
    </message>
    <message>
        <source>{host} gave an older list of updates ({found}) than one that was seen before ({known}).</source>
        <translation>{host} đưa ra một danh sách cập nhật cũ hơn ({found}) so với danh sách đã thấy trước đây ({known}).</translation>
    </message>
    <message>
        <source>{host} offers Hearth {found}, which is older than this one ({known}): it was not taken.</source>
        <translation>{host} đưa ra Hearth {found}, cũ hơn bản đang dùng ({known}): bản đó không được lấy.</translation>
    </message>
    <message>
        <source>{model} can't see images: {detail}.</source>
        <translation>{model} không xem được ảnh: {detail}.</translation>
    </message>
    <message>
        <source>{model} could not be loaded: {detail}.</source>
        <translation>Không nạp được {model}: {detail}.</translation>
    </message>
    <message>
        <source>{model} could not be quantized: {detail}.</source>
        <translation>Không thể lượng tử hoá {model}: {detail}.</translation>
    </message>
    <message>
        <source>{model} has {waiting} requests waiting already.</source>
        <translation>{model} đã có {waiting} yêu cầu đang chờ.</translation>
    </message>
    <message>
        <source>{model} is not loaded.</source>
        <translation>{model} chưa được nạp.</translation>
    </message>
    <message>
        <source>{name} could be any of these: {matches}.</source>
        <translation>{name} có thể là một trong: {matches}.</translation>
    </message>
    <message>
        <source>{name} is loaded.</source>
        <translation>{name} đang được nạp.</translation>
    </message>
    <message>
        <source>{path} came with wrong bytes (sha256 {found}, expected {expected}).</source>
        <translation>{path} tải về sai dữ liệu (sha256 {found}, cần {expected}).</translation>
    </message>
    <message>
        <source>{path} can't be used as an importance matrix: {detail}.</source>
        <translation>Không dùng được {path} làm ma trận tầm quan trọng: {detail}.</translation>
    </message>
    <message>
        <source>{path} can't be used here: {detail}.</source>
        <translation>Không dùng được {path} ở đây: {detail}.</translation>
    </message>
    <message>
        <source>{path} changed on the Hub while it was downloading.</source>
        <translation>{path} đã thay đổi trên Hub trong khi đang tải.</translation>
    </message>
    <message>
        <source>{path} is cut short: it has {found} bytes and its header promises {expected}.</source>
        <translation>{path} bị cụt: có {found} byte trong khi phần đầu ghi {expected}.</translation>
    </message>
    <message>
        <source>{path} is not a GGUF model file (it begins with {found}).</source>
        <translation>{path} không phải tệp mô hình GGUF (bắt đầu bằng {found}).</translation>
    </message>
    <message>
        <source>{repo} has no {wanted}. There is: {found}.</source>
        <translation>{repo} không có {wanted}. Hiện có: {found}.</translation>
    </message>
    <message>
        <source>{type} is not a type that llama.cpp can write.</source>
        <translation>{type} không phải kiểu mà llama.cpp ghi được.</translation>
    </message>
    <message>
        <source>{type} needs an importance matrix.</source>
        <translation>{type} cần một ma trận tầm quan trọng.</translation>
    </message>
    <message>
        <source>{what} asks you to accept its licence first.</source>
        <translation>{what} yêu cầu bạn chấp nhận giấy phép trước.</translation>
    </message>
    <message>
        <source>{what} is not on the Hub.</source>
        <translation>{what} không có trên Hub.</translation>
    </message>
    <message>
        <source>As the engine or the system said it, in its own words:</source>
        <translation>Nguyên văn lời của bộ máy hoặc hệ thống (tiếng Anh):</translation>
    </message>
</context>
<context>
    <name>Export</name>
    <message>
        <source>Markdown (*.md)</source>
        <translation>Markdown (*.md)</translation>
    </message>
    <message>
        <source>Web page (*.html)</source>
        <translation>Trang web (*.html)</translation>
    </message>
    <message>
        <source>PDF (*.pdf)</source>
        <translation>PDF (*.pdf)</translation>
    </message>
    <message>
        <source>Hearth, with every version (*.json)</source>
        <translation>Hearth, kèm mọi phiên bản (*.json)</translation>
    </message>
    <message>
        <source>Export the chat</source>
        <translation>Xuất cuộc trò chuyện</translation>
    </message>
    <message>
        <source>A folder for all chats</source>
        <translation>Thư mục cho mọi cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Assistant</source>
        <translation>Trợ lý</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Energy {energy} Wh, measured in {measured} of {requests} requests</source>
        <translation>Điện năng {energy} Wh, đo được ở {measured} trong {requests} yêu cầu</translation>
    </message>
    <message>
        <source>System</source>
        <translation>Hệ thống</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>Suy nghĩ</translation>
    </message>
    <message>
        <source>Tool</source>
        <translation>Công cụ</translation>
    </message>
    <message>
        <source>User</source>
        <translation>Người dùng</translation>
    </message>
    <message>
        <source>broke off</source>
        <translation>bị ngắt</translation>
    </message>
    <message>
        <source>called a tool</source>
        <translation>đã gọi công cụ</translation>
    </message>
    <message>
        <source>context is full</source>
        <translation>ngữ cảnh đã đầy</translation>
    </message>
    <message>
        <source>decode {speed} tokens/s</source>
        <translation>viết (decode) {speed} token/giây</translation>
    </message>
    <message>
        <source>energy {energy} Wh</source>
        <translation>điện năng {energy} Wh</translation>
    </message>
    <message>
        <source>energy {energy} Wh (from entered watts)</source>
        <translation>điện năng {energy} Wh (theo số watt đã nhập)</translation>
    </message>
    <message>
        <source>first token {seconds} s</source>
        <translation>token đầu sau {seconds} giây</translation>
    </message>
    <message>
        <source>interrupted when Hearth ended</source>
        <translation>bị ngắt khi Hearth kết thúc</translation>
    </message>
    <message>
        <source>stopped by the user</source>
        <translation>người dùng đã dừng</translation>
    </message>
    <message>
        <source>prefill {speed} tokens/s</source>
        <translation>đọc (prefill) {speed} token/giây</translation>
    </message>
    <message>
        <source>reached the longest answer</source>
        <translation>đạt độ dài tối đa</translation>
    </message>
    <message>
        <source>seed {seed}</source>
        <translation>hạt giống {seed}</translation>
    </message>
    <message>
        <source>temperature {value}</source>
        <translation>nhiệt độ {value}</translation>
    </message>
    <message>
        <source>{prompt} + {completion} tokens</source>
        <translation>{prompt} + {completion} token</translation>
    </message>
</context>
<context>
    <name>Figures</name>
    <message>
        <source>broke off</source>
        <translation>bị ngắt</translation>
    </message>
    <message>
        <source>interrupted when Hearth ended</source>
        <translation>bị ngắt khi Hearth kết thúc</translation>
    </message>
    <message>
        <source>reached the longest answer</source>
        <translation>đạt độ dài tối đa</translation>
    </message>
    <message>
        <source>stopped by you</source>
        <translation>bạn đã dừng</translation>
    </message>
    <message>
        <source>context is full</source>
        <translation>ngữ cảnh đã đầy</translation>
    </message>
    <message>
        <source>called a tool</source>
        <translation>đã gọi công cụ</translation>
    </message>
    <message>
        <source>{speed} tokens/s</source>
        <translation>{speed} token/giây</translation>
    </message>
    <message>
        <source>%n token(s)</source>
        <translation>%Ln token</translation>
    </message>
    <message>
        <source>{seconds} s to first token</source>
        <translation>{seconds} giây đến token đầu</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Quantization</source>
        <translation>Lượng tử hóa</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Hạt giống</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Thiết lập</translation>
    </message>
    <message>
        <source>Ended</source>
        <translation>Kết thúc</translation>
    </message>
    <message>
        <source>by itself</source>
        <translation>tự kết thúc</translation>
    </message>
    <message>
        <source>Prompt read, tokens/s (prefill)</source>
        <translation>Đọc lời nhắc, token/giây (prefill)</translation>
    </message>
    <message>
        <source>Written, tokens/s after the first (decode)</source>
        <translation>Viết, token/giây sau token đầu (decode)</translation>
    </message>
    <message>
        <source>Time to first token (TTFT), s</source>
        <translation>Thời gian đến token đầu (TTFT), giây</translation>
    </message>
    <message>
        <source>Waited in the queue, s</source>
        <translation>Chờ trong hàng, giây</translation>
    </message>
    <message>
        <source>Prompt tokens</source>
        <translation>Token của lời nhắc</translation>
    </message>
    <message>
        <source>of them known already (cached)</source>
        <translation>trong đó đã biết (cache)</translation>
    </message>
    <message>
        <source>Tokens written</source>
        <translation>Token đã viết</translation>
    </message>
</context>
<context>
    <name>FilterBar</name>
    <message>
        <source>Any task</source>
        <translation>Mọi tác vụ</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>Văn bản</translation>
    </message>
    <message>
        <source>Text and images</source>
        <translation>Văn bản và hình ảnh</translation>
    </message>
    <message>
        <source>Embedding</source>
        <translation>Nhúng</translation>
    </message>
    <message>
        <source>Reranking</source>
        <translation>Xếp hạng lại</translation>
    </message>
    <message>
        <source>Several kinds at once</source>
        <translation>Nhiều dạng cùng lúc</translation>
    </message>
    <message>
        <source>Any architecture</source>
        <translation>Mọi kiến trúc</translation>
    </message>
    <message>
        <source>Any licence</source>
        <translation>Mọi giấy phép</translation>
    </message>
    <message>
        <source>Open or gated</source>
        <translation>Mở hoặc cần chấp thuận</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Mở</translation>
    </message>
    <message>
        <source>Gated</source>
        <translation>Cần chấp thuận</translation>
    </message>
    <message>
        <source>Publisher</source>
        <translation>Nhà phát hành</translation>
    </message>
    <message>
        <source>Fits this machine</source>
        <translation>Vừa với máy này</translation>
    </message>
    <message>
        <source>Its usual quant (about 5 bits a weight) fits into memory here.</source>
        <translation>Bản lượng tử thường dùng (khoảng 5 bit mỗi trọng số) vừa với bộ nhớ ở đây.</translation>
    </message>
    <message>
        <source>Trained for quantization (QAT)</source>
        <translation>Được huấn luyện để lượng tử hóa (QAT)</translation>
    </message>
    <message>
        <source>Clear</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Tác vụ</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Cỡ</translation>
    </message>
    <message>
        <source>Architecture</source>
        <translation>Kiến trúc</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>Giấy phép</translation>
    </message>
    <message>
        <source>Access</source>
        <translation>Quyền truy cập</translation>
    </message>
    <message>
        <source>Clear all filters</source>
        <translation>Xóa mọi bộ lọc</translation>
    </message>
    <message>
        <source>Any size</source>
        <translation>Mọi cỡ</translation>
    </message>
    <message>
        <source>Up to {high}B parameters</source>
        <translation>Đến {high}B tham số</translation>
    </message>
    <message>
        <source>Over {low}B parameters</source>
        <translation>Trên {low}B tham số</translation>
    </message>
    <message>
        <source>{low}B to {high}B parameters</source>
        <translation>{low}B đến {high}B tham số</translation>
    </message>
</context>
<context>
    <name>FindBar</name>
    <message>
        <source>Nothing found</source>
        <translation>Không tìm thấy gì</translation>
    </message>
    <message>
        <source>message {number} of {count}</source>
        <translation>tin nhắn {number} trên {count}</translation>
    </message>
    <message>
        <source>Find in this chat</source>
        <translation>Tìm trong cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Previous match (Shift+Enter)</source>
        <translation>Kết quả trước (Shift+Enter)</translation>
    </message>
    <message>
        <source>Next match (Enter)</source>
        <translation>Kết quả sau (Enter)</translation>
    </message>
    <message>
        <source>Close (Esc)</source>
        <translation>Đóng (Esc)</translation>
    </message>
</context>
<context>
    <name>Folders</name>
    <message>
        <source>Hearth's own folder</source>
        <translation>Thư mục của Hearth</translation>
    </message>
    <message>
        <source>Hugging Face's cache</source>
        <translation>Bộ nhớ đệm của Hugging Face</translation>
    </message>
    <message>
        <source>LM Studio's models</source>
        <translation>Mô hình của LM Studio</translation>
    </message>
    <message>
        <source>Ollama's store</source>
        <translation>Kho của Ollama</translation>
    </message>
    <message>
        <source>Added folder</source>
        <translation>Thư mục đã thêm</translation>
    </message>
</context>
<context>
    <name>FoldersDialog</name>
    <message>
        <source>Folders with models</source>
        <translation>Thư mục chứa mô hình</translation>
    </message>
    <message>
        <source>Models are read where they are, at any depth. Taking a folder away deletes nothing.</source>
        <translation>Mô hình được đọc ngay tại chỗ, ở mọi cấp thư mục. Bỏ một thư mục không xóa gì cả.</translation>
    </message>
    <message>
        <source>Add a folder…</source>
        <translation>Thêm thư mục…</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Xong</translation>
    </message>
    <message>
        <source>Other programs' models on this machine</source>
        <translation>Mô hình của chương trình khác trên máy này</translation>
    </message>
    <message numerus="yes">
        <source>%n model(s)</source>
        <translation>
            <numerusform>%n mô hình</numerusform>
        </translation>
    </message>
    <message>
        <source>This folder is not there now.</source>
        <translation>Hiện không có thư mục này.</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Mở</translation>
    </message>
    <message>
        <source>Take away</source>
        <translation>Bỏ ra</translation>
    </message>
    <message>
        <source>Take away {folder}</source>
        <translation>Bỏ {folder} ra</translation>
    </message>
    <message>
        <source>Add</source>
        <translation>Thêm</translation>
    </message>
    <message>
        <source>Add {folder}</source>
        <translation>Thêm {folder}</translation>
    </message>
    <message>
        <source>Add a folder</source>
        <translation>Thêm thư mục</translation>
    </message>
</context>
<context>
    <name>Footer</name>
    <message>
        <source>Version {number} of {count}</source>
        <translation>Bản {number} trên {count}</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation>Trả lời lại</translation>
    </message>
    <message>
        <source>Continue the answer</source>
        <translation>Viết tiếp câu trả lời</translation>
    </message>
    <message>
        <source>Edit</source>
        <translation>Sửa</translation>
    </message>
    <message>
        <source>Show as plain text</source>
        <translation>Hiện dạng văn bản thô</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>More: other models, tokens, context</source>
        <translation>Thêm: mô hình khác, token, ngữ cảnh</translation>
    </message>
    <message>
        <source>Previous version</source>
        <translation>Bản trước</translation>
    </message>
    <message>
        <source>Next version</source>
        <translation>Bản sau</translation>
    </message>
</context>
<context>
    <name>FreshKey</name>
    <message>
        <source>Copied</source>
        <translation>Đã sao chép</translation>
    </message>
    <message>
        <source>The key “{name}”. Copy it now: it is not shown again.</source>
        <translation>Khóa “{name}”. Hãy sao chép ngay: khóa sẽ không hiện lại.</translation>
    </message>
    <message>
        <source>The new key</source>
        <translation>Khóa mới</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Xong</translation>
    </message>
</context>
<context>
    <name>GlobalKey</name>
    <message>
        <source>Ask a quick question</source>
        <translation>Hỏi nhanh một câu</translation>
    </message>
</context>
<context>
    <name>GroupCard</name>
    <message numerus="yes">
        <source>%n more setting(s)</source>
        <translation>
            <numerusform>Thêm %n cài đặt</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Hardware</name>
    <message>
        <source>this system has no RAPL counters in {path}</source>
        <translation>hệ thống này không có bộ đếm RAPL trong {path}</translation>
    </message>
    <message>
        <source>{path} is readable by the administrator only</source>
        <translation>chỉ quản trị viên đọc được {path}</translation>
    </message>
    <message>
        <source>{path} does not exist</source>
        <translation>{path} không tồn tại</translation>
    </message>
    <message>
        <source>{path} holds no number</source>
        <translation>{path} không chứa số nào</translation>
    </message>
    <message>
        <source>known from the second reading on</source>
        <translation>biết được từ lần đọc thứ hai</translation>
    </message>
    <message>
        <source>its driver offers no readings</source>
        <translation>trình điều khiển không cung cấp số đo</translation>
    </message>
    <message>
        <source>the driver offers no hwmon folder</source>
        <translation>trình điều khiển không có thư mục hwmon</translation>
    </message>
    <message>
        <source>the driver offers no temperature</source>
        <translation>trình điều khiển không cung cấp nhiệt độ</translation>
    </message>
    <message>
        <source>the driver offers no clock</source>
        <translation>trình điều khiển không cung cấp xung nhịp</translation>
    </message>
    <message>
        <source>the driver offers no throttle reasons</source>
        <translation>trình điều khiển không cho biết lý do giảm tốc</translation>
    </message>
    <message>
        <source>the driver does not say which process holds how much</source>
        <translation>trình điều khiển không cho biết tiến trình nào giữ bao nhiêu</translation>
    </message>
    <message>
        <source>it shares main memory</source>
        <translation>nó dùng chung bộ nhớ chính</translation>
    </message>
    <message>
        <source>Level Zero with Sysman is not installed</source>
        <translation>chưa cài Level Zero có Sysman</translation>
    </message>
    <message>
        <source>Level Zero's Sysman can't be started ({code})</source>
        <translation>không khởi động được Sysman của Level Zero ({code})</translation>
    </message>
    <message>
        <source>Level Zero's Sysman shows no card</source>
        <translation>Sysman của Level Zero không thấy thẻ nào</translation>
    </message>
    <message>
        <source>/proc/&lt;pid&gt;/fdinfo can't be read</source>
        <translation>không đọc được /proc/&lt;pid&gt;/fdinfo</translation>
    </message>
    <message>
        <source>this card's gpu_metrics has another version than 1.3</source>
        <translation>gpu_metrics của thẻ này không phải phiên bản 1.3</translation>
    </message>
    <message>
        <source>this card does not tell</source>
        <translation>thẻ này không cho biết</translation>
    </message>
    <message>
        <source>this system has no temperature sensor of the processor</source>
        <translation>hệ thống này không có cảm biến nhiệt độ của bộ xử lý</translation>
    </message>
    <message>
        <source>this system does not tell the processor's clock</source>
        <translation>hệ thống này không cho biết xung nhịp của bộ xử lý</translation>
    </message>
    <message>
        <source>this system does not count how often heat slows the processor</source>
        <translation>hệ thống này không đếm số lần bộ xử lý bị giảm tốc vì nóng</translation>
    </message>
    <message>
        <source>the package nvidia-ml-py is not installed</source>
        <translation>chưa cài gói nvidia-ml-py</translation>
    </message>
    <message>
        <source>macOS tells it to the administrator's powermetrics only</source>
        <translation>macOS chỉ cho powermetrics của quản trị viên biết</translation>
    </message>
    <message>
        <source>reading failed: {why}</source>
        <translation>đọc không được: {why}</translation>
    </message>
    <message>
        <source>{path} is closed to this user, who is not in the group {group}</source>
        <translation>{path} không mở cho người dùng này, vốn không thuộc nhóm {group}</translation>
    </message>
    <message>
        <source>the engine has no backend for it ({names}): a pack brings one</source>
        <translation>bộ máy không có phần phụ trợ cho nó ({names}): một gói sẽ mang đến</translation>
    </message>
    <message>
        <source>its driver {version} is too old: CUDA {cuda} needs {least} or newer</source>
        <translation>trình điều khiển {version} của nó quá cũ: CUDA {cuda} cần {least} trở lên</translation>
    </message>
    <message>
        <source>the {backend} pack has no code for it ({target}): it was built for {built}</source>
        <translation>gói {backend} không có mã cho nó ({target}): gói được dựng cho {built}</translation>
    </message>
    <message>
        <source>{backend} shows no device for it: its driver for {same} is missing</source>
        <translation>{backend} không thấy thiết bị nào cho nó: thiếu trình điều khiển cho {same}</translation>
    </message>
    <message>
        <source>did not answer within {seconds} s</source>
        <translation>không trả lời trong {seconds} giây</translation>
    </message>
    <message>
        <source>could not be started: {why}</source>
        <translation>không khởi động được: {why}</translation>
    </message>
    <message>
        <source>crashed with {signal}: {why}</source>
        <translation>bị sập với {signal}: {why}</translation>
    </message>
    <message>
        <source>failed with code {code}: {why}</source>
        <translation>thất bại với mã {code}: {why}</translation>
    </message>
    <message>
        <source>it said nothing</source>
        <translation>nó không nói gì</translation>
    </message>
    <message>
        <source>the engine {why} when it was tried out</source>
        <translation>khi chạy thử, bộ máy {why}</translation>
    </message>
    <message>
        <source>another pack for {backend} is used</source>
        <translation>một gói khác cho {backend} đang được dùng</translation>
    </message>
    <message>
        <source>it was built for llama.cpp {built}, and the engine is {engine}</source>
        <translation>nó được dựng cho llama.cpp {built}, còn bộ máy là {engine}</translation>
    </message>
    <message>
        <source>its manifest.json can't be read: {why}</source>
        <translation>không đọc được manifest.json của nó: {why}</translation>
    </message>
    <message>
        <source>its manifest.json is damaged: {why}</source>
        <translation>manifest.json của nó bị hỏng: {why}</translation>
    </message>
    <message>
        <source>its manifest.json does not list its library</source>
        <translation>manifest.json của nó không liệt kê thư viện của nó</translation>
    </message>
    <message>
        <source>its manifest.json names {file}, which is not in the pack</source>
        <translation>manifest.json của nó nêu {file}, vốn không có trong gói</translation>
    </message>
    <message>
        <source>{file} can't be read: {why}</source>
        <translation>không đọc được {file}: {why}</translation>
    </message>
    <message>
        <source>{file} is not the file that its manifest names (its hash differs)</source>
        <translation>{file} không phải tệp mà bản kê của nó nêu (mã băm khác)</translation>
    </message>
    <message>
        <source>the engine has {backend} already: its devices would be listed twice</source>
        <translation>bộ máy đã có {backend}: các thiết bị của nó sẽ bị liệt kê hai lần</translation>
    </message>
    <message>
        <source>ggml refused {file}: {why}</source>
        <translation>ggml từ chối {file}: {why}</translation>
    </message>
    <message>
        <source>it is of another version, or its driver is missing</source>
        <translation>nó thuộc phiên bản khác, hoặc thiếu trình điều khiển</translation>
    </message>
    <message>
        <source>its manifest.json has {name} where a plain name must be</source>
        <translation>manifest.json của nó ghi {name} ở chỗ phải là một tên thường</translation>
    </message>
    <message>
        <source>{file} is not the file that its manifest names (its size differs)</source>
        <translation>{file} không phải tệp mà manifest của nó nêu (kích thước khác)</translation>
    </message>
    <message>
        <source>it is for {wanted}, and this is {here}</source>
        <translation>nó dành cho {wanted}, còn máy này là {here}</translation>
    </message>
    <message>
        <source>it needs {vendor}'s driver {floor} or newer, and {have} is here: update the driver</source>
        <translation>nó cần trình điều khiển {vendor} từ {floor} trở lên, ở đây là {have}: hãy cập nhật trình điều khiển</translation>
    </message>
    <message>
        <source>it has no code for the GPU here ({cards}): it was built for {built}</source>
        <translation>nó không có mã cho GPU ở đây ({cards}): nó được dựng cho {built}</translation>
    </message>
    <message>
        <source>what was fetched is not what #sha256= names</source>
        <translation>thứ tải về không khớp với #sha256= đã ghi</translation>
    </message>
    <message>
        <source>an http address needs #sha256=HEX at its end, or use https</source>
        <translation>địa chỉ http cần có #sha256=HEX ở cuối, hoặc hãy dùng https</translation>
    </message>
    <message>
        <source>it is larger than {size}</source>
        <translation>nó lớn hơn {size}</translation>
    </message>
    <message>
        <source>it is neither a folder nor a .tar.xz, .tar.gz or .zip archive</source>
        <translation>nó không phải thư mục, cũng không phải tệp nén .tar.xz, .tar.gz hay .zip</translation>
    </message>
    <message>
        <source>the archive is damaged: {why}</source>
        <translation>tệp nén bị hỏng: {why}</translation>
    </message>
    <message>
        <source>the archive has {name}, which is not in a pack</source>
        <translation>tệp nén chứa {name}, thứ không thuộc về một gói</translation>
    </message>
    <message>
        <source>it has no manifest.json: it is no backend pack</source>
        <translation>nó không có manifest.json nên không phải gói bộ máy</translation>
    </message>
    <message>
        <source>there is no such file</source>
        <translation>không có tệp này</translation>
    </message>
    <message>
        <source>turned off by you</source>
        <translation>do bạn tắt</translation>
    </message>
    <message>
        <source>the engine crashed on it twice in a row ({why})</source>
        <translation>bộ máy bị sập trên nó hai lần liên tiếp ({why})</translation>
    </message>
    <message>
        <source>no NVIDIA driver is here, which it needs ({said})</source>
        <translation>nó cần trình điều khiển của NVIDIA, ở đây không có ({said})</translation>
    </message>
    <message>
        <source>AMD's ROCm is not here, which it needs ({said})</source>
        <translation>nó cần ROCm của AMD, ở đây không có ({said})</translation>
    </message>
    <message>
        <source>the Vulkan loader is not here, which it needs (Debian: libvulkan1) ({said})</source>
        <translation>nó cần bộ nạp Vulkan, ở đây không có (Debian: libvulkan1) ({said})</translation>
    </message>
</context>
<context>
    <name>KeepButton</name>
    <message>
        <source>Save as a preset</source>
        <translation>Lưu thành thiết lập sẵn</translation>
    </message>
    <message>
        <source>Name of the preset</source>
        <translation>Tên thiết lập sẵn</translation>
    </message>
    <message>
        <source>Saved</source>
        <translation>Đã lưu</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Lưu</translation>
    </message>
    <message>
        <source>As this model's defaults</source>
        <translation>Làm mặc định cho mô hình này</translation>
    </message>
    <message>
        <source>As a preset…</source>
        <translation>Thành thiết lập sẵn…</translation>
    </message>
    <message>
        <source>Forget this model's defaults</source>
        <translation>Bỏ mặc định của mô hình này</translation>
    </message>
</context>
<context>
    <name>Keys</name>
    <message>
        <source>Chat: choose a model</source>
        <translation>Trò chuyện: chọn mô hình</translation>
    </message>
    <message>
        <source>Chat: search all chats</source>
        <translation>Trò chuyện: tìm trong mọi cuộc</translation>
    </message>
    <message>
        <source>Chat: previous question</source>
        <translation>Trò chuyện: câu hỏi trước</translation>
    </message>
    <message>
        <source>Chat: next question</source>
        <translation>Trò chuyện: câu hỏi sau</translation>
    </message>
    <message>
        <source>Chat: rename the selected chat</source>
        <translation>Trò chuyện: đổi tên cuộc trò chuyện đang chọn</translation>
    </message>
    <message>
        <source>Chat: delete the selected chat</source>
        <translation>Trò chuyện: xóa cuộc trò chuyện đang chọn</translation>
    </message>
    <message>
        <source>Discover: back</source>
        <translation>Khám phá: quay lại</translation>
    </message>
    <message>
        <source>Discover: forward</source>
        <translation>Khám phá: đi tới</translation>
    </message>
    <message>
        <source>Library: load the selected model</source>
        <translation>Thư viện: nạp mô hình đang chọn</translation>
    </message>
    <message>
        <source>Library: rename the selected model</source>
        <translation>Thư viện: đổi tên mô hình đang chọn</translation>
    </message>
    <message>
        <source>Library: delete what is selected</source>
        <translation>Thư viện: xóa mục đang chọn</translation>
    </message>
    <message>
        <source>Downloads and jobs: move the selected one up</source>
        <translation>Lượt tải và công việc: đưa mục đang chọn lên</translation>
    </message>
    <message>
        <source>Downloads and jobs: move the selected one down</source>
        <translation>Lượt tải và công việc: đưa mục đang chọn xuống</translation>
    </message>
    <message>
        <source>Downloads and jobs: cancel or take off the list</source>
        <translation>Lượt tải và công việc: hủy hoặc bỏ khỏi danh sách</translation>
    </message>
    <message>
        <source>Server: cancel the selected request</source>
        <translation>Máy chủ: hủy yêu cầu đang chọn</translation>
    </message>
</context>
<context>
    <name>Lab</name>
    <message>
        <source>This one is {quant}: what it lost stays lost. Begin with F16, BF16 or Q8_0 when you can get it.</source>
        <translation>Bản này là {quant}: phần đã mất không lấy lại được. Nếu có thể, hãy bắt đầu từ F16, BF16 hoặc Q8_0.</translation>
    </message>
    <message>
        <source>English</source>
        <translation>Tiếng Anh</translation>
    </message>
    <message>
        <source>Vietnamese</source>
        <translation>Tiếng Việt</translation>
    </message>
    <message>
        <source>Program code</source>
        <translation>Mã chương trình</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>KL mean</source>
        <translation>KL trung bình</translation>
    </message>
    <message>
        <source>KL 99 %</source>
        <translation>KL 99 %</translation>
    </message>
    <message>
        <source>KL max</source>
        <translation>KL lớn nhất</translation>
    </message>
    <message>
        <source>Same top (%)</source>
        <translation>Trùng từ đầu (%)</translation>
    </message>
    <message>
        <source>RMS Δp (%)</source>
        <translation>RMS Δp (%)</translation>
    </message>
    <message>
        <source>Perplexity</source>
        <translation>Perplexity</translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation>Token/giây</translation>
    </message>
    <message>
        <source>How far the probabilities are from the reference's, on average; 0 is the same.</source>
        <translation>Xác suất lệch khỏi bản gốc trung bình bao nhiêu; 0 là giống hệt.</translation>
    </message>
    <message>
        <source>One position in a hundred is farther off than this.</source>
        <translation>Cứ một trăm vị trí có một vị trí lệch hơn mức này.</translation>
    </message>
    <message>
        <source>The position that is farthest off.</source>
        <translation>Vị trí lệch nhiều nhất.</translation>
    </message>
    <message>
        <source>How often the likeliest next token is the reference's.</source>
        <translation>Token kế tiếp có khả năng nhất trùng với bản gốc bao nhiêu lần.</translation>
    </message>
    <message>
        <source>How much the right token's probability changes, root mean square.</source>
        <translation>Xác suất của token đúng thay đổi bao nhiêu, căn bậc hai trung bình bình phương.</translation>
    </message>
    <message>
        <source>How surprised the model is by the text; lower is better, the same text compared.</source>
        <translation>Mức bất ngờ của mô hình trước văn bản; càng thấp càng tốt khi so cùng một văn bản.</translation>
    </message>
    <message>
        <source>imported, {machine}</source>
        <translation>nhập vào, {machine}</translation>
    </message>
    <message>
        <source>the reference: noise floor</source>
        <translation>bản gốc: mức nhiễu nền</translation>
    </message>
    <message>
        <source>Of the reference's probability {share} % lies outside the tokens that were kept.</source>
        <translation>{share} % xác suất của bản gốc nằm ngoài các token được giữ lại.</translation>
    </message>
    <message>
        <source>Below {value} nats it is the noise of measuring.</source>
        <translation>Dưới {value} nat là nhiễu của phép đo.</translation>
    </message>
    <message>
        <source>{bits} bits</source>
        <translation>{bits} bit</translation>
    </message>
    <message>
        <source>{count} J/token</source>
        <translation>{count} J/token</translation>
    </message>
    <message>
        <source>{model} on {text}, from {source}. Another model than yours: larger ones lose less.</source>
        <translation>{model} trên {text}, theo {source}. Không phải mô hình của bạn: mô hình lớn hơn thì mất ít hơn.</translation>
    </message>
    <message>
        <source>to download</source>
        <translation>cần tải về</translation>
    </message>
    <message>
        <source>on this machine</source>
        <translation>có trên máy này</translation>
    </message>
    <message>
        <source>Where</source>
        <translation>Ở đâu</translation>
    </message>
    <message>
        <source>Type</source>
        <translation>Kiểu</translation>
    </message>
    <message>
        <source>In plain words</source>
        <translation>Nói dễ hiểu</translation>
    </message>
    <message>
        <source>Bits</source>
        <translation>Bit</translation>
    </message>
    <message>
        <source>Bits per weight of a large model; the real ones are known after a dry run.</source>
        <translation>Số bit mỗi trọng số của một mô hình lớn; con số thật có sau khi chạy thử.</translation>
    </message>
    <message>
        <source>%n tensor(s) can't take this type and get another one.</source>
        <translation>%n tensor không dùng được kiểu này và nhận kiểu khác.</translation>
    </message>
    <message>
        <source>Bits per weight, as a dry run says.</source>
        <translation>Số bit mỗi trọng số theo lần chạy thử.</translation>
    </message>
    <message>
        <source>Size (GB)</source>
        <translation>Kích thước (GB)</translation>
    </message>
    <message>
        <source>about {time}</source>
        <translation>khoảng {time}</translation>
    </message>
    <message>
        <source>about {least} to {most}</source>
        <translation>khoảng {least} đến {most}</translation>
    </message>
    <message>
        <source>Bring {source}</source>
        <translation>Lấy {source}</translation>
    </message>
    <message>
        <source>Price of {count} context, {model}</source>
        <translation>Giá của ngữ cảnh {count}, {model}</translation>
    </message>
    <message>
        <source>Measure {model}</source>
        <translation>Đo {model}</translation>
    </message>
    <message>
        <source>Measure %n model(s)</source>
        <translation>Đo %n mô hình</translation>
    </message>
    <message>
        <source>Once more, since the process died ({how}): {stage}</source>
        <translation>Làm lại vì tiến trình đã chết ({how}): {stage}</translation>
    </message>
    <message>
        <source>Hearth was closed while it ran or waited.</source>
        <translation>Hearth đã đóng khi việc này đang chạy hoặc đang chờ.</translation>
    </message>
    <message>
        <source>Free some space, then try again.</source>
        <translation>Hãy giải phóng chỗ trống rồi thử lại.</translation>
    </message>
    <message>
        <source>to quantize from</source>
        <translation>để lượng tử hóa</translation>
    </message>
    <message>
        <source>past the length it was trained for</source>
        <translation>vượt độ dài được huấn luyện</translation>
    </message>
    <message>
        <source>against {reference} on {texts}</source>
        <translation>so với {reference} trên {texts}</translation>
    </message>
    <message>
        <source>again from {source}, as its recipe says</source>
        <translation>tạo lại từ {source} theo công thức</translation>
    </message>
    <message>
        <source>from {source}, matrix from {text}</source>
        <translation>từ {source}, ma trận từ {text}</translation>
    </message>
    <message>
        <source>from {source}, matrix {file}</source>
        <translation>từ {source}, ma trận {file}</translation>
    </message>
    <message>
        <source>from {source}</source>
        <translation>từ {source}</translation>
    </message>
    <message>
        <source>Within the length it was trained for: no price.</source>
        <translation>Trong độ dài được huấn luyện: không mất gì.</translation>
    </message>
    <message>
        <source>Behind {count} tokens perplexity is {ratio} times what it would be with a context as trained.</source>
        <translation>Sau {count} token, perplexity gấp {ratio} lần so với ngữ cảnh đúng độ dài huấn luyện.</translation>
    </message>
    <message>
        <source>at most {size}</source>
        <translation>tối đa {size}</translation>
    </message>
    <message>
        <source>KL at most {value}</source>
        <translation>KL tối đa {value}</translation>
    </message>
    <message>
        <source>from {source}, {wish} on {text}</source>
        <translation>từ {source}, {wish} trên {text}</translation>
    </message>
    <message>
        <source>{size}, {bits} bits per weight</source>
        <translation>{size}, {bits} bit mỗi trọng số</translation>
    </message>
    <message>
        <source>{size}, in the library</source>
        <translation>{size}, đã vào thư viện</translation>
    </message>
    <message>
        <source>the same bytes as in the recipe</source>
        <translation>đúng từng byte như công thức</translation>
    </message>
    <message>
        <source>%n tensor(s) took another type</source>
        <translation>%n tensor nhận kiểu khác</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} trên {total}</translation>
    </message>
    <message>
        <source>Working out the size</source>
        <translation>Đang tính kích thước</translation>
    </message>
    <message>
        <source>Comparing {name} with the recipe</source>
        <translation>Đang so {name} với công thức</translation>
    </message>
    <message>
        <source>Importance matrix</source>
        <translation>Ma trận tầm quan trọng</translation>
    </message>
    <message>
        <source>Downloading {name}, MiB</source>
        <translation>Đang tải {name}, MiB</translation>
    </message>
    <message>
        <source>Setting up the converter: {name}</source>
        <translation>Đang cài bộ chuyển đổi: {name}</translation>
    </message>
    <message>
        <source>Converting {name}, %</source>
        <translation>Đang chuyển đổi {name}, %</translation>
    </message>
    <message>
        <source>Reading a long text</source>
        <translation>Đang đọc một văn bản dài</translation>
    </message>
    <message>
        <source>What each part costs, {name}</source>
        <translation>Cái giá của từng phần, {name}</translation>
    </message>
    <message>
        <source>Tensor {name}</source>
        <translation>Tensor {name}</translation>
    </message>
    <message>
        <source>Reference {name}</source>
        <translation>Bản gốc {name}</translation>
    </message>
    <message>
        <source>Measuring {name}</source>
        <translation>Đang đo {name}</translation>
    </message>
    <message>
        <source>Speed of {name}</source>
        <translation>Tốc độ của {name}</translation>
    </message>
    <message>
        <source>Starting</source>
        <translation>Đang bắt đầu</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>Đang chờ</translation>
    </message>
    <message>
        <source>Running</source>
        <translation>Đang chạy</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>Tạm dừng</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Xong</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Thất bại</translation>
    </message>
    <message>
        <source>Cancelled</source>
        <translation>Đã hủy</translation>
    </message>
    <message>
        <source>%n job(s) to do</source>
        <translation>còn %n việc</translation>
    </message>
    <message>
        <source>Job</source>
        <translation>Việc</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Trạng thái</translation>
    </message>
    <message>
        <source>Progress</source>
        <translation>Tiến độ</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Thời gian</translation>
    </message>
    <message>
        <source>Time left, about</source>
        <translation>Thời gian còn lại, ước chừng</translation>
    </message>
    <message>
        <source>Time it took</source>
        <translation>Thời gian đã mất</translation>
    </message>
    <message>
        <source>{name} is the reference: what it shows is the noise of measuring.</source>
        <translation>{name} là bản gốc: con số của nó là nhiễu của phép đo.</translation>
    </message>
    <message>
        <source>{name}: perplexity {value}.</source>
        <translation>{name}: perplexity {value}.</translation>
    </message>
    <message>
        <source>{name}: practically every token would be the same.</source>
        <translation>{name}: gần như mọi token đều giống.</translation>
    </message>
    <message>
        <source>{name}: practically every token would be the same as {reference}'s.</source>
        <translation>{name}: gần như mọi token đều giống {reference}.</translation>
    </message>
    <message>
        <source>{name}: 1 in {count} tokens would differ.</source>
        <translation>{name}: cứ {count} token có 1 token khác.</translation>
    </message>
    <message>
        <source>{name}: 1 in {count} tokens would differ from {reference}'s.</source>
        <translation>{name}: cứ {count} token có 1 token khác với {reference}.</translation>
    </message>
    <message>
        <source>{name}: {count} in 10 tokens would differ.</source>
        <translation>{name}: cứ 10 token có {count} token khác.</translation>
    </message>
    <message>
        <source>{name}: {count} in 10 tokens would differ from {reference}'s.</source>
        <translation>{name}: cứ 10 token có {count} token khác với {reference}.</translation>
    </message>
    <message>
        <source>{text}, against {reference}</source>
        <translation>{text}, so với {reference}</translation>
    </message>
    <message>
        <source>, %n piece(s)</source>
        <translation>, %n đoạn</translation>
    </message>
    <message>
        <source>This one is better</source>
        <translation>Câu này hay hơn</translation>
    </message>
    <message>
        <source>Answer {letter}</source>
        <translation>Câu trả lời {letter}</translation>
    </message>
    <message>
        <source>{a} {wins} : {losses} {b}</source>
        <translation>{a} {wins} : {losses} {b}</translation>
    </message>
    <message>
        <source>%n as good</source>
        <translation>%n lần hay như nhau</translation>
    </message>
    <message>
        <source>{score}; could be chance</source>
        <translation>{score}; có thể chỉ là ngẫu nhiên</translation>
    </message>
    <message>
        <source>{score}; chance alone gives this in {share} % of cases</source>
        <translation>{score}; nếu chỉ do ngẫu nhiên thì gặp trong {share} % trường hợp</translation>
    </message>
    <message>
        <source>Even {type} everywhere loses {kl}: less than {wish} can't be had by quantizing.</source>
        <translation>Ngay cả {type} ở mọi nơi cũng mất {kl}: lượng tử hóa không thể đạt dưới {wish}.</translation>
    </message>
    <message>
        <source>No type is forecast to reach {wish} tokens a second here; {type} comes nearest with {low} to {high}.</source>
        <translation>Không kiểu nào được dự báo đạt {wish} token mỗi giây ở đây; {type} gần nhất với {low} đến {high}.</translation>
    </message>
    <message>
        <source>Nothing fits into {limit}; {type} is the smallest there is, with {size}.</source>
        <translation>Không gì vừa {limit}; {type} là kiểu nhỏ nhất, {size}.</translation>
    </message>
    <message>
        <source>The divergence of this mix is expected at {kl}, summed up from what each part loses alone.</source>
        <translation>Độ lệch của bản pha này dự kiến là {kl}, cộng từ phần mất của từng phần riêng lẻ.</translation>
    </message>
    <message>
        <source>The mix was made and measured: a divergence of {kl}, at most {wish} wished.</source>
        <translation>Bản pha đã được tạo và đo: độ lệch {kl}, mong muốn tối đa {wish}.</translation>
    </message>
    <message>
        <source>With an importance matrix it loses less at the same size.</source>
        <translation>Có ma trận tầm quan trọng thì mất ít hơn ở cùng kích thước.</translation>
    </message>
    <message>
        <source>{count} tensors have rows that {type} can't take and get a larger type: {bits} bits per weight.</source>
        <translation>{count} tensor có hàng không dùng được {type} và nhận kiểu lớn hơn: {bits} bit mỗi trọng số.</translation>
    </message>
    <message>
        <source>{group} gets {type}: at {probe} it alone costs {kl} of the divergence.</source>
        <translation>{group} nhận {type}: ở {probe} riêng nó đã làm lệch {kl}.</translation>
    </message>
    <message>
        <source>{type} is the finest type that fits: {size} of at most {limit}.</source>
        <translation>{type} là kiểu mịn nhất còn vừa: {size} trên tối đa {limit}.</translation>
    </message>
    <message>
        <source>{type} is the finest type that is forecast to reach {wish} tokens a second here: {low} to {high}.</source>
        <translation>{type} là kiểu mịn nhất được dự báo đạt {wish} token mỗi giây ở đây: {low} đến {high}.</translation>
    </message>
    <message>
        <source>{type} is {bits}-bit, {note}; loss of quality: {loss}.</source>
        <translation>{type} là {bits} bit, {note}; mức mất chất lượng: {loss}.</translation>
    </message>
    <message>
        <source>{type} needs an importance matrix: choose a text for one.</source>
        <translation>{type} cần ma trận tầm quan trọng: hãy chọn văn bản để tính.</translation>
    </message>
    <message>
        <source>{type}, the next finer one, is forecast at {low} to {high}.</source>
        <translation>{type}, kiểu mịn hơn kế tiếp, được dự báo {low} đến {high}.</translation>
    </message>
    <message>
        <source>{type}, the next finer one, would take {size}.</source>
        <translation>{type}, kiểu mịn hơn kế tiếp, sẽ chiếm {size}.</translation>
    </message>
    <message>
        <source>none</source>
        <translation>không có</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>Nguồn</translation>
    </message>
    <message>
        <source>Matrix</source>
        <translation>Ma trận</translation>
    </message>
    <message>
        <source>Engine</source>
        <translation>Bộ máy</translation>
    </message>
    <message>
        <source>Result's SHA-256</source>
        <translation>SHA-256 của kết quả</translation>
    </message>
    <message>
        <source>yes</source>
        <translation>có</translation>
    </message>
    <message>
        <source>Single tensors</source>
        <translation>Tensor riêng lẻ</translation>
    </message>
    <message>
        <source>Token embedding</source>
        <translation>Bảng nhúng token</translation>
    </message>
    <message>
        <source>Output</source>
        <translation>Đầu ra</translation>
    </message>
    <message>
        <source>Pure</source>
        <translation>Thuần nhất</translation>
    </message>
    <message>
        <source>Layers left out</source>
        <translation>Các lớp bị bỏ</translation>
    </message>
    <message>
        <source>{name} was not found here: choose the file.</source>
        <translation>Không tìm thấy {name} ở đây: hãy chọn tệp.</translation>
    </message>
</context>
<context>
    <name>LabJobs</name>
    <message>
        <source>Set it up and go on</source>
        <translation>Cài rồi làm tiếp</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
    <message>
        <source>Pause: its memory is freed; a quantization begins again</source>
        <translation>Tạm dừng: bộ nhớ được trả lại; lượng tử hóa sẽ làm lại từ đầu</translation>
    </message>
    <message>
        <source>Go on</source>
        <translation>Tiếp tục</translation>
    </message>
    <message>
        <source>Cancel: nothing half stays</source>
        <translation>Hủy: không để lại gì dở dang</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Show in Library</source>
        <translation>Hiện trong Thư viện</translation>
    </message>
    <message>
        <source>How it was made</source>
        <translation>Cách đã tạo ra</translation>
    </message>
    <message>
        <source>Show what was measured</source>
        <translation>Hiện kết quả đo</translation>
    </message>
    <message>
        <source>Take off this list</source>
        <translation>Bỏ khỏi danh sách này</translation>
    </message>
    <message>
        <source>Cancel this job?</source>
        <translation>Hủy việc này?</translation>
    </message>
    <message>
        <source>It has worked for {time}. What it made so far is thrown away.</source>
        <translation>Việc này đã chạy {time}. Phần làm được đến giờ sẽ bị bỏ.</translation>
    </message>
    <message>
        <source>Cancel the job</source>
        <translation>Hủy việc</translation>
    </message>
    <message>
        <source>Move up</source>
        <translation>Chuyển lên</translation>
    </message>
    <message>
        <source>Move down</source>
        <translation>Chuyển xuống</translation>
    </message>
    <message>
        <source>Jobs</source>
        <translation>Việc</translation>
    </message>
    <message>
        <source>Clear ended ones</source>
        <translation>Dọn việc đã xong</translation>
    </message>
    <message>
        <source>Jobs of the lab</source>
        <translation>Việc của phòng thí nghiệm</translation>
    </message>
</context>
<context>
    <name>LabPage</name>
    <message>
        <source>A recipe</source>
        <translation>Một công thức</translation>
    </message>
    <message>
        <source>Recipes (*.recipe.json *.json);;All files (*)</source>
        <translation>Công thức (*.recipe.json *.json);;Mọi tệp (*)</translation>
    </message>
    <message>
        <source>{repo} has no two quants to compare.</source>
        <translation>{repo} không có hai bản lượng tử nào để so sánh.</translation>
    </message>
    <message>
        <source>Lab</source>
        <translation>Thí nghiệm</translation>
    </message>
    <message>
        <source>Make a quant</source>
        <translation>Tạo bản lượng tử hóa</translation>
    </message>
    <message>
        <source>What was lost</source>
        <translation>Mất những gì</translation>
    </message>
    <message>
        <source>Side by side</source>
        <translation>Đặt cạnh nhau</translation>
    </message>
    <message>
        <source>Make a model smaller, and know what it lost</source>
        <translation>Thu nhỏ mô hình và biết nó mất gì</translation>
    </message>
    <message>
        <source>The lab turns a model of your library into other types, computes importance matrices, and measures how far each quant is from the original. It needs a model to begin with.</source>
        <translation>Phòng thí nghiệm chuyển mô hình trong thư viện sang kiểu khác, tính ma trận tầm quan trọng và đo mỗi bản lượng tử hóa lệch khỏi bản gốc bao xa. Cần một mô hình để bắt đầu.</translation>
    </message>
    <message>
        <source>Get a small model to start with</source>
        <translation>Lấy một mô hình nhỏ để bắt đầu</translation>
    </message>
    <message>
        <source>Search for a model</source>
        <translation>Tìm mô hình</translation>
    </message>
</context>
<context>
    <name>LabPlot</name>
    <message>
        <source>{rate} tokens/s</source>
        <translation>{rate} token/giây</translation>
    </message>
    <message>
        <source>published, not measured here</source>
        <translation>đã công bố, không đo ở đây</translation>
    </message>
    <message>
        <source>none is as small and as good</source>
        <translation>không bản nào vừa nhỏ vừa tốt bằng</translation>
    </message>
    <message>
        <source>KL divergence {value}</source>
        <translation>Độ lệch KL {value}</translation>
    </message>
    <message>
        <source>Size (GB)</source>
        <translation>Kích thước (GB)</translation>
    </message>
    <message>
        <source>KL divergence</source>
        <translation>Độ lệch KL</translation>
    </message>
    <message>
        <source>noise floor</source>
        <translation>mức nhiễu nền</translation>
    </message>
    <message>
        <source>area: tokens/s measured here</source>
        <translation>diện tích: token/giây đo ở đây</translation>
    </message>
    <message>
        <source>dotted: published for {model}</source>
        <translation>nét chấm: đã công bố cho {model}</translation>
    </message>
</context>
<context>
    <name>Library</name>
    <message>
        <source>Kind</source>
        <translation>Loại</translation>
    </message>
    <message>
        <source>Architecture</source>
        <translation>Kiến trúc</translation>
    </message>
    <message>
        <source>Parameters</source>
        <translation>Tham số</translation>
    </message>
    <message>
        <source>Quant</source>
        <translation>Lượng tử hóa</translation>
    </message>
    <message>
        <source>Bits per weight</source>
        <translation>Bit mỗi trọng số</translation>
    </message>
    <message>
        <source>Trained context</source>
        <translation>Ngữ cảnh huấn luyện</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} token</translation>
    </message>
    <message>
        <source>Chat template</source>
        <translation>Mẫu trò chuyện</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>Giấy phép</translation>
    </message>
    <message>
        <source>{count} layers</source>
        <translation>{count} lớp</translation>
    </message>
    <message>
        <source>{used} of {count} experts at a time</source>
        <translation>mỗi lần {used} trên {count} chuyên gia</translation>
    </message>
    <message>
        <source>vocabulary of {count}</source>
        <translation>bộ từ vựng {count}</translation>
    </message>
    <message>
        <source>in the file</source>
        <translation>có trong tệp</translation>
    </message>
    <message>
        <source>none in the file</source>
        <translation>không có trong tệp</translation>
    </message>
    <message>
        <source>imported or found in a folder</source>
        <translation>được nhập hoặc tìm thấy trong thư mục</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>Nguồn</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Kích thước</translation>
    </message>
    <message>
        <source>{count} bytes</source>
        <translation>{count} byte</translation>
    </message>
    <message>
        <source>%n part(s)</source>
        <translation>%n phần</translation>
    </message>
    <message>
        <source>Split set</source>
        <translation>Bộ chia nhiều tệp</translation>
    </message>
    <message>
        <source>beside it: it can see pictures</source>
        <translation>nằm cạnh: xem được hình ảnh</translation>
    </message>
    <message>
        <source>Vision projector</source>
        <translation>Bộ chiếu thị giác</translation>
    </message>
    <message>
        <source>Added</source>
        <translation>Đã thêm</translation>
    </message>
    <message>
        <source>Last used</source>
        <translation>Dùng lần cuối</translation>
    </message>
    <message>
        <source>never</source>
        <translation>chưa bao giờ</translation>
    </message>
    <message>
        <source>Times used</source>
        <translation>Số lần dùng</translation>
    </message>
    <message>
        <source>No favourite any more</source>
        <translation>Bỏ yêu thích</translation>
    </message>
    <message>
        <source>Favourite</source>
        <translation>Yêu thích</translation>
    </message>
    <message>
        <source>Load…</source>
        <translation>Nạp…</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Unload</source>
        <translation>Gỡ</translation>
    </message>
    <message>
        <source>Make a quant of it…</source>
        <translation>Tạo bản lượng tử hóa…</translation>
    </message>
    <message>
        <source>Measure what it lost…</source>
        <translation>Đo phần đã mất…</translation>
    </message>
    <message>
        <source>Rename…</source>
        <translation>Đổi tên…</translation>
    </message>
    <message>
        <source>Tensors, template and all keys…</source>
        <translation>Tensor, mẫu trò chuyện và mọi khóa…</translation>
    </message>
    <message>
        <source>Show file</source>
        <translation>Hiện tệp</translation>
    </message>
    <message>
        <source>Page on the Hub</source>
        <translation>Trang trên Hub</translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation>Xóa…</translation>
    </message>
    <message>
        <source>Loading {share} %</source>
        <translation>Đang nạp {share} %</translation>
    </message>
    <message>
        <source>Damaged</source>
        <translation>Bị hỏng</translation>
    </message>
    <message>
        <source>Starting</source>
        <translation>Đang khởi động</translation>
    </message>
    <message>
        <source>Loaded</source>
        <translation>Đã nạp</translation>
    </message>
    <message>
        <source>Unloading</source>
        <translation>Đang gỡ</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Thất bại</translation>
    </message>
    <message>
        <source>On disk</source>
        <translation>Trên đĩa</translation>
    </message>
    <message>
        <source>answering</source>
        <translation>đang trả lời</translation>
    </message>
    <message>
        <source>kept loaded</source>
        <translation>được giữ lại</translation>
    </message>
    <message>
        <source>ready</source>
        <translation>sẵn sàng</translation>
    </message>
    <message>
        <source>idle {time}</source>
        <translation>rảnh {time}</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Used</source>
        <translation>Dùng lần cuối</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Trạng thái</translation>
    </message>
    <message>
        <source>Size (GB)</source>
        <translation>Cỡ (GB)</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>Ngữ cảnh</translation>
    </message>
    <message>
        <source>Used %n time(s)</source>
        <translation>Đã dùng %n lần</translation>
    </message>
    <message>
        <source>All models</source>
        <translation>Tất cả mô hình</translation>
    </message>
    <message>
        <source>Favourites</source>
        <translation>Yêu thích</translation>
    </message>
    <message>
        <source>Text models</source>
        <translation>Mô hình văn bản</translation>
    </message>
    <message>
        <source>Embedding models</source>
        <translation>Mô hình nhúng</translation>
    </message>
    <message>
        <source>With vision</source>
        <translation>Có thị giác</translation>
    </message>
    <message>
        <source>Never used</source>
        <translation>Chưa dùng bao giờ</translation>
    </message>
</context>
<context>
    <name>LibraryActions</name>
    <message>
        <source>Name of {model}; empty gives its own back</source>
        <translation>Tên của {model}; để trống thì lấy lại tên gốc</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>Đổi tên</translation>
    </message>
</context>
<context>
    <name>LibraryDetails</name>
    <message>
        <source>The same bytes also lie here:</source>
        <translation>Cùng nội dung này còn nằm ở:</translation>
    </message>
    <message>
        <source>It belongs to Ollama, which must remove it.</source>
        <translation>Mô hình này thuộc về Ollama; phải xóa bằng Ollama.</translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation>Xóa…</translation>
    </message>
    <message>
        <source>Unload it first.</source>
        <translation>Hãy gỡ khỏi bộ nhớ trước.</translation>
    </message>
    <message>
        <source>{count} context</source>
        <translation>ngữ cảnh {count}</translation>
    </message>
    <message>
        <source>Load…</source>
        <translation>Nạp…</translation>
    </message>
    <message>
        <source>Unload</source>
        <translation>Gỡ</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Keep loaded</source>
        <translation>Giữ trong bộ nhớ</translation>
    </message>
    <message>
        <source>Neither idle time nor another model unloads it.</source>
        <translation>Dù rảnh lâu hay nạp mô hình khác, nó vẫn không bị gỡ.</translation>
    </message>
    <message>
        <source>Favourite</source>
        <translation>Yêu thích</translation>
    </message>
    <message>
        <source>Show file</source>
        <translation>Hiện tệp</translation>
    </message>
    <message>
        <source>Page on the Hub</source>
        <translation>Trang trên Hub</translation>
    </message>
    <message>
        <source>Tensors, template and all keys…</source>
        <translation>Tensor, mẫu trò chuyện và mọi khóa…</translation>
    </message>
    <message>
        <source>How it was made…</source>
        <translation>Cách đã tạo ra…</translation>
    </message>
    <message>
        <source>Its recipe, and the same bytes again</source>
        <translation>Công thức của nó, và tạo lại đúng từng byte</translation>
    </message>
    <message>
        <source>Bytes by tensor type</source>
        <translation>Dung lượng theo kiểu tensor</translation>
    </message>
    <message>
        <source>Profiles</source>
        <translation>Hồ sơ</translation>
    </message>
    <message>
        <source>Tags and notes</source>
        <translation>Thẻ và ghi chú</translation>
    </message>
    <message>
        <source>Tags, separated by commas</source>
        <translation>Các thẻ, cách nhau bằng dấu phẩy</translation>
    </message>
    <message>
        <source>Tags</source>
        <translation>Thẻ</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Ghi chú</translation>
    </message>
</context>
<context>
    <name>LibraryPage</name>
    <message numerus="yes">
        <source>%n model(s)</source>
        <translation>
            <numerusform>%n mô hình</numerusform>
        </translation>
    </message>
    <message>
        <source>Library</source>
        <translation>Thư viện</translation>
    </message>
    <message>
        <source>Models on this machine</source>
        <translation>Mô hình trên máy này</translation>
    </message>
    <message>
        <source>{store} is on this machine: its models can be read where they are.</source>
        <translation>{store} có trên máy này: mô hình trong đó đọc được ngay tại chỗ.</translation>
    </message>
    <message>
        <source>Choose folders…</source>
        <translation>Chọn thư mục…</translation>
    </message>
    <message>
        <source>Search name, tag, note, …</source>
        <translation>Tìm tên, thẻ, ghi chú, …</translation>
    </message>
    <message>
        <source>Search models</source>
        <translation>Tìm mô hình</translation>
    </message>
    <message>
        <source>Which models are shown</source>
        <translation>Hiện những mô hình nào</translation>
    </message>
    <message>
        <source>Disk use</source>
        <translation>Dung lượng đĩa</translation>
    </message>
    <message>
        <source>Import…</source>
        <translation>Nhập…</translation>
    </message>
    <message>
        <source>Folders…</source>
        <translation>Thư mục…</translation>
    </message>
    <message>
        <source>No models yet</source>
        <translation>Chưa có mô hình</translation>
    </message>
    <message>
        <source>Models on this machine appear here. Drop a .gguf file on the window to import it.</source>
        <translation>Mô hình trên máy này hiện ở đây. Thả tệp .gguf vào cửa sổ để nhập.</translation>
    </message>
    <message>
        <source>Get the starter model</source>
        <translation>Lấy mô hình khởi đầu</translation>
    </message>
    <message>
        <source>Search for a model</source>
        <translation>Tìm mô hình</translation>
    </message>
</context>
<context>
    <name>LimitsButton</name>
    <message>
        <source>Speed limit</source>
        <translation>Giới hạn tốc độ</translation>
    </message>
    <message>
        <source>Hours</source>
        <translation>Giờ tải</translation>
    </message>
    <message>
        <source>Downloads at a time</source>
        <translation>Số lượt tải cùng lúc</translation>
    </message>
    <message>
        <source>All settings…</source>
        <translation>Mọi cài đặt…</translation>
    </message>
    <message>
        <source>No limit</source>
        <translation>Không giới hạn</translation>
    </message>
    <message>
        <source>At any time</source>
        <translation>Bất cứ lúc nào</translation>
    </message>
    <message>
        <source>Limits</source>
        <translation>Giới hạn</translation>
    </message>
    <message>
        <source>Speed limit, hours and number of downloads</source>
        <translation>Giới hạn tốc độ, giờ tải và số lượt tải</translation>
    </message>
    <message>
        <source>at most {speed}</source>
        <translation>tối đa {speed}</translation>
    </message>
</context>
<context>
    <name>LivePanels</name>
    <message>
        <source>Live readings</source>
        <translation>Số đo trực tiếp</translation>
    </message>
</context>
<context>
    <name>LivePlot</name>
    <message>
        <source>{seconds} s ago</source>
        <translation>{seconds} giây trước</translation>
    </message>
    <message>
        <source>{name}: nothing measured in this time</source>
        <translation>{name}: không đo được gì trong thời gian này</translation>
    </message>
    <message>
        <source>{name}: lowest {low}, median {middle}, highest {high}</source>
        <translation>{name}: thấp nhất {low}, trung vị {middle}, cao nhất {high}</translation>
    </message>
</context>
<context>
    <name>LoadDialog</name>
    <message>
        <source>Load {model}</source>
        <translation>Nạp {model}</translation>
    </message>
    <message>
        <source>Context length</source>
        <translation>Độ dài ngữ cảnh</translation>
    </message>
    <message>
        <source>GPU layers</source>
        <translation>Số lớp trên GPU</translation>
    </message>
    <message>
        <source>Automatic puts as many on the GPU as fit; 0 uses the processor.</source>
        <translation>Tự động đặt lên GPU nhiều nhất có thể; 0 thì dùng bộ xử lý.</translation>
    </message>
    <message>
        <source>Parallel answers</source>
        <translation>Trả lời song song</translation>
    </message>
    <message>
        <source>Answers written at the same time; they share the context.</source>
        <translation>Số câu trả lời viết cùng lúc; chúng chia sẻ ngữ cảnh.</translation>
    </message>
    <message>
        <source>KV cache type</source>
        <translation>Kiểu bộ đệm KV</translation>
    </message>
    <message>
        <source>Main</source>
        <translation>Chính</translation>
    </message>
    <message>
        <source>All options</source>
        <translation>Mọi tùy chọn</translation>
    </message>
    <message>
        <source>Options</source>
        <translation>Tùy chọn</translation>
    </message>
    <message>
        <source>q8_0 halves the context's memory at almost no loss.</source>
        <translation>q8_0 giảm nửa bộ nhớ ngữ cảnh mà hầu như không mất gì.</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>Tự động</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Tokens the model can see at once.</source>
        <translation>Số token mô hình thấy được cùng lúc.</translation>
    </message>
    <message>
        <source>Tokens the model can see at once; it was trained for {count}.</source>
        <translation>Số token mô hình thấy được cùng lúc; nó được huấn luyện với {count}.</translation>
    </message>
    <message>
        <source>Load anyway</source>
        <translation>Vẫn nạp</translation>
    </message>
    <message>
        <source>Load with {count} context</source>
        <translation>Nạp với ngữ cảnh {count}</translation>
    </message>
    <message>
        <source>This is not the machine that is here.</source>
        <translation>Đây không phải cấu hình của máy này.</translation>
    </message>
    <message>
        <source>Measure this machine's speed</source>
        <translation>Đo tốc độ máy này</translation>
    </message>
    <message>
        <source>Takes under a minute; other programs should be quiet.</source>
        <translation>Mất chưa đến một phút; các chương trình khác nên tạm nghỉ.</translation>
    </message>
    <message>
        <source>at full GPU speed</source>
        <translation>GPU vẫn hết tốc độ</translation>
    </message>
    <message>
        <source>trained length</source>
        <translation>độ dài huấn luyện</translation>
    </message>
    <message>
        <source>too large</source>
        <translation>quá lớn</translation>
    </message>
    <message>
        <source>Measuring, under a minute…</source>
        <translation>Đang đo, chưa đến một phút…</translation>
    </message>
</context>
<context>
    <name>LoadOptions</name>
    <message>
        <source>Find an option</source>
        <translation>Tìm một tùy chọn</translation>
    </message>
    <message>
        <source>No option has these words.</source>
        <translation>Không tùy chọn nào có các từ này.</translation>
    </message>
</context>
<context>
    <name>LoadedModels</name>
    <message>
        <source>Unload {model}</source>
        <translation>Gỡ {model} khỏi bộ nhớ</translation>
    </message>
    <message>
        <source>Unloading…</source>
        <translation>Đang gỡ…</translation>
    </message>
    <message>
        <source>Loading…</source>
        <translation>Đang nạp…</translation>
    </message>
    <message>
        <source>context {tokens}</source>
        <translation>ngữ cảnh {tokens}</translation>
    </message>
    <message>
        <source>for embeddings</source>
        <translation>để tạo vectơ</translation>
    </message>
    <message>
        <source>up to {count} at once</source>
        <translation>cùng lúc tối đa {count}</translation>
    </message>
    <message>
        <source>None. The first request that names a model loads it.</source>
        <translation>Chưa có. Yêu cầu đầu tiên gọi tên một mô hình sẽ nạp mô hình đó.</translation>
    </message>
</context>
<context>
    <name>MachineCard</name>
    <message>
        <source>Other programs were busy then: measure again when they are quiet.</source>
        <translation>Lúc đó các chương trình khác đang bận: hãy đo lại khi chúng yên.</translation>
    </message>
    <message>
        <source>Measuring, under a minute for each device…</source>
        <translation>Đang đo, mỗi thiết bị chưa đến một phút…</translation>
    </message>
    <message>
        <source>Measure</source>
        <translation>Đo</translation>
    </message>
    <message>
        <source>Measure again</source>
        <translation>Đo lại</translation>
    </message>
    <message>
        <source>{device}: not measured as it is now</source>
        <translation>{device}: chưa đo ở cấu hình hiện tại</translation>
    </message>
    <message>
        <source>{device}: reads {speed} GB/s at best, measured {when}</source>
        <translation>{device}: đọc nhanh nhất {speed} GB/s, đo {when}</translation>
    </message>
    <message>
        <source>No answer has been compared with its forecast yet.</source>
        <translation>Chưa có câu trả lời nào được so với dự báo.</translation>
    </message>
    <message numerus="yes">
        <source>Our forecasts of %n answer(s) were off by {median} % (median), {worst} % at worst.</source>
        <translation>
            <numerusform>Dự báo cho %n câu trả lời lệch {median} % (trung vị), nhiều nhất {worst} %.</numerusform>
        </translation>
    </message>
    <message>
        <source>Speed of this machine</source>
        <translation>Tốc độ của máy này</translation>
    </message>
    <message>
        <source>Takes under a minute for each device; other programs should be quiet.</source>
        <translation>Mỗi thiết bị mất chưa đến một phút; các chương trình khác nên tạm nghỉ.</translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>Welcome</source>
        <translation>Chào mừng</translation>
    </message>
    <message>
        <source>Hearth ended unexpectedly last time. Your chats and models are whole.</source>
        <translation>Lần trước Hearth bị dừng đột ngột. Các cuộc trò chuyện và mô hình của bạn vẫn nguyên vẹn.</translation>
    </message>
    <message>
        <source>Show the report</source>
        <translation>Xem báo cáo</translation>
    </message>
    <message>
        <source>The answer broke off: {why}</source>
        <translation>Câu trả lời bị ngắt: {why}</translation>
    </message>
    <message>
        <source>Answer finished. {text}</source>
        <translation>Đã trả lời xong. {text}</translation>
    </message>
    <message>
        <source>Pages</source>
        <translation>Các trang</translation>
    </message>
    <message>
        <source>Message</source>
        <translation>Thông báo</translation>
    </message>
</context>
<context>
    <name>MakeView</name>
    <message>
        <source>Choose a text file for the matrix.</source>
        <translation>Hãy chọn tệp văn bản cho ma trận.</translation>
    </message>
    <message>
        <source>{types} can't be made without an importance matrix.</source>
        <translation>Không thể tạo {types} nếu thiếu ma trận tầm quan trọng.</translation>
    </message>
    <message>
        <source>Compute one</source>
        <translation>Tính ma trận</translation>
    </message>
    <message>
        <source>Fewer options</source>
        <translation>Bớt tùy chọn</translation>
    </message>
    <message>
        <source>More options</source>
        <translation>Thêm tùy chọn</translation>
    </message>
    <message>
        <source>What to make smaller</source>
        <translation>Thu nhỏ mô hình nào</translation>
    </message>
    <message>
        <source>Into which types</source>
        <translation>Thành những kiểu nào</translation>
    </message>
    <message>
        <source>Importance matrix</source>
        <translation>Ma trận tầm quan trọng</translation>
    </message>
    <message>
        <source>Types</source>
        <translation>Kiểu</translation>
    </message>
    <message>
        <source>By wish</source>
        <translation>Theo mong muốn</translation>
    </message>
    <message>
        <source>From a recipe…</source>
        <translation>Theo công thức…</translation>
    </message>
    <message>
        <source>The same bytes again, as a .recipe.json beside a quant says</source>
        <translation>Tạo lại đúng từng byte theo tệp .recipe.json nằm cạnh bản lượng tử hóa</translation>
    </message>
</context>
<context>
    <name>MatrixBox</name>
    <message>
        <source>Importance matrices (*.gguf *.imatrix);;All files (*)</source>
        <translation>Ma trận tầm quan trọng (*.gguf *.imatrix);;Mọi tệp (*)</translation>
    </message>
    <message>
        <source>An importance matrix</source>
        <translation>Một ma trận tầm quan trọng</translation>
    </message>
    <message>
        <source>Without</source>
        <translation>Không dùng</translation>
    </message>
    <message>
        <source>Compute it from a text</source>
        <translation>Tính từ một văn bản</translation>
    </message>
    <message>
        <source>A finished matrix…</source>
        <translation>Ma trận có sẵn…</translation>
    </message>
    <message>
        <source>Importance matrix</source>
        <translation>Ma trận tầm quan trọng</translation>
    </message>
    <message>
        <source>Enough down to about 5 bits; below that a matrix keeps much more.</source>
        <translation>Đủ dùng đến khoảng 5 bit; thấp hơn thì ma trận giữ lại được nhiều hơn hẳn.</translation>
    </message>
    <message>
        <source>The model reads it once, so that what it needs most is kept finest.</source>
        <translation>Mô hình đọc qua một lần, để phần nó cần nhất được giữ mịn nhất.</translation>
    </message>
    <message>
        <source>As llama.cpp's own tools write them.</source>
        <translation>Dạng do chính công cụ của llama.cpp ghi ra.</translation>
    </message>
    <message>
        <source>Quick: 16 pieces of 512 tokens</source>
        <translation>Nhanh: 16 đoạn 512 token</translation>
    </message>
    <message>
        <source>Usual: 64 pieces of 512 tokens</source>
        <translation>Thường: 64 đoạn 512 token</translation>
    </message>
    <message>
        <source>All of the text</source>
        <translation>Toàn bộ văn bản</translation>
    </message>
    <message>
        <source>How much of the text</source>
        <translation>Dùng bao nhiêu văn bản</translation>
    </message>
</context>
<context>
    <name>MeasureDialog</name>
    <message>
        <source>A text file</source>
        <translation>Một tệp văn bản</translation>
    </message>
    <message>
        <source>Texts (*.txt *.md);;All files (*)</source>
        <translation>Văn bản (*.txt *.md);;Mọi tệp (*)</translation>
    </message>
    <message>
        <source>A text file…</source>
        <translation>Tệp văn bản…</translation>
    </message>
    <message>
        <source>Own chats</source>
        <translation>Trò chuyện của tôi</translation>
    </message>
    <message>
        <source>Tick a model and a text.</source>
        <translation>Hãy đánh dấu một mô hình và một văn bản.</translation>
    </message>
    <message>
        <source>Working out what it takes…</source>
        <translation>Đang tính xem cần những gì…</translation>
    </message>
    <message>
        <source>{time}; {disk} of {free} free on the disk for the reference; {memory} of memory.</source>
        <translation>{time}; {disk} trên {free} ổ đĩa còn trống cho bản gốc; {memory} bộ nhớ.</translation>
    </message>
    <message>
        <source>{size} to download first, {free} free on their disk; then {rest}</source>
        <translation>Trước hết tải {size}, ổ đĩa ấy còn trống {free}; sau đó {rest}</translation>
    </message>
    <message>
        <source>Measure what was lost</source>
        <translation>Đo phần đã mất</translation>
    </message>
    <message>
        <source>Reference</source>
        <translation>Bản gốc</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Texts</source>
        <translation>Văn bản</translation>
    </message>
    <message>
        <source>How much</source>
        <translation>Bao nhiêu</translation>
    </message>
    <message>
        <source>Quick: 4,000 tokens of each text</source>
        <translation>Nhanh: 4.000 token mỗi văn bản</translation>
    </message>
    <message>
        <source>Usual: 16,000 tokens of each text</source>
        <translation>Thường: 16.000 token mỗi văn bản</translation>
    </message>
    <message>
        <source>Each text whole</source>
        <translation>Trọn từng văn bản</translation>
    </message>
    <message>
        <source>Measure tokens per second too</source>
        <translation>Đo cả số token mỗi giây</translation>
    </message>
    <message>
        <source>With q8_0 and q4_0 caches too: what a smaller K/V cache costs</source>
        <translation>Cả với bộ đệm q8_0 và q4_0: bộ đệm K/V nhỏ hơn thì mất gì</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Measure</source>
        <translation>Đo</translation>
    </message>
</context>
<context>
    <name>MeasureOffer</name>
    <message>
        <source>Measure now</source>
        <translation>Đo ngay</translation>
    </message>
    <message>
        <source>The hardware, a driver or the engine has changed since this machine was measured. Measuring again takes under a minute.</source>
        <translation>Phần cứng, trình điều khiển hoặc bộ máy đã thay đổi từ lần đo máy này. Đo lại mất chưa đầy một phút.</translation>
    </message>
    <message>
        <source>Hearth can measure how fast this machine is, in under a minute: every model then shows its speed before a download.</source>
        <translation>Hearth có thể đo tốc độ của máy này trong chưa đầy một phút: khi đó mọi mô hình đều cho biết tốc độ trước khi tải về.</translation>
    </message>
    <message>
        <source>Measuring this machine, under a minute for each device…</source>
        <translation>Đang đo máy này, chưa đầy một phút cho mỗi thiết bị…</translation>
    </message>
    <message>
        <source>Measure again</source>
        <translation>Đo lại</translation>
    </message>
    <message>
        <source>Measured: this machine reads {speed} GB/s at best.</source>
        <translation>Đã đo: máy này đọc nhanh nhất {speed} GB/giây.</translation>
    </message>
</context>
<context>
    <name>Memory</name>
    <message>
        <source>weights</source>
        <translation>trọng số</translation>
    </message>
    <message>
        <source>context (KV)</source>
        <translation>ngữ cảnh (KV)</translation>
    </message>
    <message>
        <source>compute</source>
        <translation>tính toán</translation>
    </message>
    <message>
        <source>others</source>
        <translation>chương trình khác</translation>
    </message>
    <message>
        <source>free</source>
        <translation>còn trống</translation>
    </message>
    <message>
        <source>memory (RAM)</source>
        <translation>bộ nhớ (RAM)</translation>
    </message>
    <message>
        <source>GPU {number}</source>
        <translation>GPU {number}</translation>
    </message>
</context>
<context>
    <name>MemoryPanel</name>
    <message>
        <source>Memory</source>
        <translation>Bộ nhớ</translation>
    </message>
    <message>
        <source>Used, GiB</source>
        <translation>Đã dùng, GiB</translation>
    </message>
    <message>
        <source>Used memory, last minute</source>
        <translation>Bộ nhớ đã dùng, phút vừa qua</translation>
    </message>
    <message>
        <source>weights</source>
        <translation>trọng số</translation>
    </message>
    <message>
        <source>context (KV)</source>
        <translation>ngữ cảnh (KV)</translation>
    </message>
    <message>
        <source>compute</source>
        <translation>tính toán</translation>
    </message>
    <message>
        <source>others</source>
        <translation>khác</translation>
    </message>
    <message>
        <source>Not measured yet, or this device does not tell.</source>
        <translation>Chưa đo, hoặc thiết bị này không cho biết.</translation>
    </message>
    <message>
        <source>of {total} GiB, {device}</source>
        <translation>trên {total} GiB, {device}</translation>
    </message>
    <message>
        <source>Memory of {device}</source>
        <translation>Bộ nhớ của {device}</translation>
    </message>
    <message>
        <source>{size} GiB</source>
        <translation>{size} GiB</translation>
    </message>
    <message>
        <source>free</source>
        <translation>còn trống</translation>
    </message>
    <message>
        <source>forecast</source>
        <translation>dự báo</translation>
    </message>
</context>
<context>
    <name>Menus</name>
    <message>
        <source>&amp;File</source>
        <translation>&amp;Tệp</translation>
    </message>
    <message>
        <source>&amp;Edit</source>
        <translation>&amp;Sửa</translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation>&amp;Xem</translation>
    </message>
    <message>
        <source>Theme</source>
        <translation>Giao diện</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Ngôn ngữ</translation>
    </message>
    <message>
        <source>How much is shown</source>
        <translation>Mức hiển thị</translation>
    </message>
    <message>
        <source>&amp;Model</source>
        <translation>&amp;Mô hình</translation>
    </message>
    <message>
        <source>&amp;Server</source>
        <translation>Máy &amp;chủ</translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation>Trợ &amp;giúp</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>Trò chuyện mới</translation>
    </message>
    <message>
        <source>New window</source>
        <translation>Cửa sổ mới</translation>
    </message>
    <message>
        <source>Quick ask</source>
        <translation>Hỏi nhanh</translation>
    </message>
    <message>
        <source>Import a model…</source>
        <translation>Nhập mô hình…</translation>
    </message>
    <message>
        <source>Open the models folder</source>
        <translation>Mở thư mục mô hình</translation>
    </message>
    <message>
        <source>Export the chat…</source>
        <translation>Xuất cuộc trò chuyện…</translation>
    </message>
    <message>
        <source>Close the window</source>
        <translation>Đóng cửa sổ</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Thoát</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>Hoàn tác</translation>
    </message>
    <message>
        <source>Cut</source>
        <translation>Cắt</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Paste</source>
        <translation>Dán</translation>
    </message>
    <message>
        <source>Select all</source>
        <translation>Chọn tất cả</translation>
    </message>
    <message>
        <source>Find on this page</source>
        <translation>Tìm trong trang này</translation>
    </message>
    <message>
        <source>Find a command, chat or model…</source>
        <translation>Tìm lệnh, cuộc trò chuyện hay mô hình…</translation>
    </message>
    <message>
        <source>Live panels</source>
        <translation>Bảng trực tiếp</translation>
    </message>
    <message>
        <source>Full screen</source>
        <translation>Toàn màn hình</translation>
    </message>
    <message>
        <source>Next area</source>
        <translation>Vùng kế tiếp</translation>
    </message>
    <message>
        <source>Previous area</source>
        <translation>Vùng trước</translation>
    </message>
    <message>
        <source>Larger</source>
        <translation>Phóng to</translation>
    </message>
    <message>
        <source>Smaller</source>
        <translation>Thu nhỏ</translation>
    </message>
    <message>
        <source>Usual size</source>
        <translation>Cỡ thường</translation>
    </message>
    <message>
        <source>Follow the system</source>
        <translation>Theo hệ thống</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Sáng</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Tối</translation>
    </message>
    <message>
        <source>High contrast, light</source>
        <translation>Tương phản cao, sáng</translation>
    </message>
    <message>
        <source>High contrast, dark</source>
        <translation>Tương phản cao, tối</translation>
    </message>
    <message>
        <source>Simple</source>
        <translation>Đơn giản</translation>
    </message>
    <message>
        <source>Full</source>
        <translation>Đầy đủ</translation>
    </message>
    <message>
        <source>Developer</source>
        <translation>Nhà phát triển</translation>
    </message>
    <message>
        <source>Load a model…</source>
        <translation>Nạp mô hình…</translation>
    </message>
    <message>
        <source>Unload</source>
        <translation>Gỡ ra</translation>
    </message>
    <message>
        <source>Search the Hub</source>
        <translation>Tìm trên Hub</translation>
    </message>
    <message>
        <source>Local API server</source>
        <translation>Máy chủ API cục bộ</translation>
    </message>
    <message>
        <source>Copy address</source>
        <translation>Sao chép địa chỉ</translation>
    </message>
    <message>
        <source>Requests and settings</source>
        <translation>Yêu cầu và cài đặt</translation>
    </message>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>Phím tắt</translation>
    </message>
    <message>
        <source>Open the log folder</source>
        <translation>Mở thư mục nhật ký</translation>
    </message>
    <message>
        <source>Look for updates…</source>
        <translation>Tìm bản cập nhật…</translation>
    </message>
    <message>
        <source>About Hearth</source>
        <translation>Giới thiệu Hearth</translation>
    </message>
</context>
<context>
    <name>Message</name>
    <message>
        <source>Copy as Markdown</source>
        <translation>Chép dạng Markdown</translation>
    </message>
    <message>
        <source>Copy as plain text</source>
        <translation>Chép dạng văn bản thường</translation>
    </message>
    <message>
        <source>Show as it was written</source>
        <translation>Hiện đúng như đã viết</translation>
    </message>
    <message>
        <source>Tokens and probabilities…</source>
        <translation>Token và xác suất…</translation>
    </message>
    <message>
        <source>Answer again with</source>
        <translation>Trả lời lại bằng</translation>
    </message>
    <message>
        <source>Compare with</source>
        <translation>So sánh với</translation>
    </message>
    <message>
        <source>Branch from here</source>
        <translation>Rẽ nhánh từ đây</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>In the context as the policy decides</source>
        <translation>Trong ngữ cảnh theo chính sách</translation>
    </message>
    <message>
        <source>Always keep in the context</source>
        <translation>Luôn giữ trong ngữ cảnh</translation>
    </message>
    <message>
        <source>Leave out of the context</source>
        <translation>Bỏ khỏi ngữ cảnh</translation>
    </message>
    <message>
        <source>Put a summary into the context</source>
        <translation>Đưa bản tóm tắt vào ngữ cảnh</translation>
    </message>
</context>
<context>
    <name>MessagePieces</name>
    <message>
        <source>Message text</source>
        <translation>Nội dung tin nhắn</translation>
    </message>
</context>
<context>
    <name>MessageView</name>
    <message>
        <source>Tool's result: {text}</source>
        <translation>Kết quả công cụ: {text}</translation>
    </message>
    <message>
        <source>Answer: {text}</source>
        <translation>Trả lời: {text}</translation>
    </message>
    <message>
        <source>Question: {text}</source>
        <translation>Câu hỏi: {text}</translation>
    </message>
    <message>
        <source>With {files}</source>
        <translation>Kèm {files}</translation>
    </message>
    <message>
        <source>Being written in another window</source>
        <translation>Đang được viết ở một cửa sổ khác</translation>
    </message>
</context>
<context>
    <name>ModelCommands</name>
    <message>
        <source>Import models</source>
        <translation>Nhập mô hình</translation>
    </message>
    <message>
        <source>GGUF models (*.gguf)</source>
        <translation>Mô hình GGUF (*.gguf)</translation>
    </message>
    <message>
        <source>Importing {file}…</source>
        <translation>Đang nhập {file}…</translation>
    </message>
    <message>
        <source>Importing {file}: {share} %</source>
        <translation>Đang nhập {file}: {share} %</translation>
    </message>
    <message>
        <source>{name} is in the library.</source>
        <translation>{name} đã có trong thư viện.</translation>
    </message>
    <message>
        <source>Models in {folder} are read there from now on.</source>
        <translation>Từ nay các mô hình trong {folder} được đọc tại chỗ.</translation>
    </message>
</context>
<context>
    <name>ModelFileDialog</name>
    <message>
        <source>Chat template</source>
        <translation>Mẫu trò chuyện</translation>
    </message>
    <message>
        <source>Filter by name or type</source>
        <translation>Lọc theo tên hoặc kiểu</translation>
    </message>
    <message>
        <source>Filter tensors</source>
        <translation>Lọc tensor</translation>
    </message>
    <message>
        <source>Tensor</source>
        <translation>Tensor</translation>
    </message>
    <message>
        <source>Type</source>
        <translation>Kiểu</translation>
    </message>
    <message>
        <source>Shape</source>
        <translation>Hình dạng</translation>
    </message>
    <message>
        <source>Size (MB)</source>
        <translation>Kích thước (MB)</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>Khóa</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>Giá trị</translation>
    </message>
    <message>
        <source>Tensors</source>
        <translation>Tensor</translation>
    </message>
    <message>
        <source>Keys</source>
        <translation>Khóa</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Reading the header…</source>
        <translation>Đang đọc phần đầu tệp…</translation>
    </message>
    <message>
        <source>There is none in the file.</source>
        <translation>Trong tệp không có.</translation>
    </message>
    <message numerus="yes">
        <source>%n tensor(s)</source>
        <translation>
            <numerusform>%n tensor</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n key(s)</source>
        <translation>
            <numerusform>%n khóa</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ModelPicker</name>
    <message>
        <source>Choose a model</source>
        <translation>Chọn mô hình</translation>
    </message>
    <message>
        <source>Loading {model}: {percent} %</source>
        <translation>Đang nạp {model}: {percent} %</translation>
    </message>
    <message>
        <source>Pick what answers you</source>
        <translation>Chọn mô hình trả lời bạn</translation>
    </message>
    <message>
        <source>Model: {name}</source>
        <translation>Mô hình: {name}</translation>
    </message>
    <message>
        <source>Stop loading</source>
        <translation>Dừng nạp</translation>
    </message>
</context>
<context>
    <name>Models</name>
    <message>
        <source>{size} GB</source>
        <translation>{size} GB</translation>
    </message>
    <message>
        <source>sees images</source>
        <translation>xem được ảnh</translation>
    </message>
    <message>
        <source>{count} tokens of context</source>
        <translation>ngữ cảnh {count} token</translation>
    </message>
</context>
<context>
    <name>Notes</name>
    <message>
        <source>Nothing came for {seconds} s: connecting again.</source>
        <translation>Không nhận được gì trong {seconds} giây: đang kết nối lại.</translation>
    </message>
    <message>
        <source>The address was refused. Trying again in {seconds} s.</source>
        <translation>Địa chỉ bị từ chối. Thử lại sau {seconds} giây.</translation>
    </message>
    <message>
        <source>The connection broke. Trying again in {seconds} s.</source>
        <translation>Kết nối bị đứt. Thử lại sau {seconds} giây.</translation>
    </message>
    <message>
        <source>The file changed on the Hub: it starts again.</source>
        <translation>Tệp đã thay đổi trên Hub: tải lại từ đầu.</translation>
    </message>
    <message>
        <source>The server asks us to wait {seconds} s.</source>
        <translation>Máy chủ yêu cầu đợi {seconds} giây.</translation>
    </message>
    <message>
        <source>The server has a problem (HTTP {status}). Trying again in {seconds} s.</source>
        <translation>Máy chủ gặp sự cố (HTTP {status}). Thử lại sau {seconds} giây.</translation>
    </message>
    <message>
        <source>Waiting for the hours set ({hours}).</source>
        <translation>Đang chờ đến giờ đã đặt ({hours}).</translation>
    </message>
    <message>
        <source>Wrong bytes came: looking for the part to fetch again.</source>
        <translation>Nhận sai byte: đang tìm phần cần tải lại.</translation>
    </message>
    <message>
        <source>Wrong bytes came: the file is fetched once more.</source>
        <translation>Nhận sai byte: tệp được tải lại một lần nữa.</translation>
    </message>
    <message>
        <source>{host} can't be reached. Trying again in {seconds} s.</source>
        <translation>Không kết nối được {host}. Thử lại sau {seconds} giây.</translation>
    </message>
</context>
<context>
    <name>Notifications</name>
    <message>
        <source>The answer is there</source>
        <translation>Đã có câu trả lời</translation>
    </message>
    <message>
        <source>The answer broke off</source>
        <translation>Câu trả lời bị ngắt</translation>
    </message>
    <message>
        <source>Download finished</source>
        <translation>Đã tải xong</translation>
    </message>
    <message>
        <source>Download failed</source>
        <translation>Tải không thành công</translation>
    </message>
    <message>
        <source>The lab is done</source>
        <translation>Phòng thí nghiệm đã xong</translation>
    </message>
    <message>
        <source>The lab's job failed</source>
        <translation>Việc của phòng thí nghiệm thất bại</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Mở</translation>
    </message>
</context>
<context>
    <name>OfflineView</name>
    <message numerus="yes">
        <source>%n model(s) on this machine, your chats and the local server work as always.</source>
        <translation>
            <numerusform>%n mô hình trên máy này, các cuộc trò chuyện và máy chủ cục bộ vẫn chạy như thường.</numerusform>
        </translation>
    </message>
    <message>
        <source>Chats, files you import and the local server work as always.</source>
        <translation>Trò chuyện, các tệp bạn nhập và máy chủ cục bộ vẫn chạy như thường.</translation>
    </message>
    <message>
        <source>Search, model pages and new downloads wait until it is back; downloads go on by themselves.</source>
        <translation>Tìm kiếm, trang mô hình và lượt tải mới phải chờ đến khi có lại; các lượt tải sẽ tự tiếp tục.</translation>
    </message>
    <message>
        <source>The Hub can't be reached</source>
        <translation>Không kết nối được với Hub</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
    <message>
        <source>Go to the library</source>
        <translation>Đến thư viện</translation>
    </message>
</context>
<context>
    <name>OptionsBox</name>
    <message>
        <source>{kind} is no type of a tensor; Q6_K is one, as in ffn_down=Q6_K.</source>
        <translation>{kind} không phải kiểu tensor; Q6_K thì phải, như ffn_down=Q6_K.</translation>
    </message>
    <message>
        <source>The pattern {pattern} can't be read: {why}.</source>
        <translation>Không đọc được mẫu {pattern}: {why}.</translation>
    </message>
    <message>
        <source>Layers are numbers with commas, or ranges: 12, 20-22.</source>
        <translation>Lớp là các số cách nhau bằng dấu phẩy, hoặc khoảng: 12, 20-22.</translation>
    </message>
    <message>
        <source>Token embedding</source>
        <translation>Bảng nhúng token</translation>
    </message>
    <message>
        <source>Output</source>
        <translation>Đầu ra</translation>
    </message>
    <message>
        <source>Single tensors</source>
        <translation>Từng tensor</translation>
    </message>
    <message>
        <source>Layers to leave out</source>
        <translation>Lớp bỏ đi</translation>
    </message>
    <message>
        <source>Type of the input table; a finer one helps small models.</source>
        <translation>Kiểu của bảng đầu vào; mịn hơn thì có lợi cho mô hình nhỏ.</translation>
    </message>
    <message>
        <source>Type of the last tensor, which picks the words.</source>
        <translation>Kiểu của tensor cuối, nơi chọn từ.</translation>
    </message>
    <message>
        <source>A pattern and a type on each line; the first that matches counts.</source>
        <translation>Mỗi dòng một mẫu và một kiểu; mẫu khớp đầu tiên được dùng.</translation>
    </message>
    <message>
        <source>Smaller and quicker, and much is lost: measure it.</source>
        <translation>Nhỏ và nhanh hơn, nhưng mất nhiều: hãy đo lại.</translation>
    </message>
    <message>
        <source>Every tensor the same, without finer ones where it matters.</source>
        <translation>Mọi tensor như nhau, không có chỗ nào mịn hơn.</translation>
    </message>
    <message>
        <source>Pure</source>
        <translation>Thuần</translation>
    </message>
    <message>
        <source>As the type has it</source>
        <translation>Theo kiểu đã chọn</translation>
    </message>
</context>
<context>
    <name>OutcomeView</name>
    <message>
        <source>{fit}: about {needed} of memory</source>
        <translation>{fit}: khoảng {needed} bộ nhớ</translation>
    </message>
    <message>
        <source>{models} will be unloaded to make room.</source>
        <translation>{models} sẽ được gỡ khỏi bộ nhớ để lấy chỗ.</translation>
    </message>
    <message>
        <source>Loaded now, {count}</source>
        <translation>Đang nạp, {count}</translation>
    </message>
    <message>
        <source>As it is set, {count}</source>
        <translation>Theo cài đặt, {count}</translation>
    </message>
    <message>
        <source>With these choices, {count}</source>
        <translation>Với lựa chọn này, {count}</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Bộ nhớ</translation>
    </message>
    <message>
        <source>Tokens/s, empty context</source>
        <translation>Token/s, ngữ cảnh trống</translation>
    </message>
    <message>
        <source>Tokens/s, full context</source>
        <translation>Token/s, ngữ cảnh đầy</translation>
    </message>
    <message>
        <source>First token of a prompt that fills it</source>
        <translation>Token đầu khi câu hỏi lấp đầy ngữ cảnh</translation>
    </message>
    <message>
        <source>The speed of a device this uses has not been measured.</source>
        <translation>Chưa đo tốc độ của một thiết bị được dùng.</translation>
    </message>
</context>
<context>
    <name>PackFetch</name>
    <message>
        <source>{done} fetched</source>
        <translation>Đã tải {done}</translation>
    </message>
    <message>
        <source>{done} of {total} fetched</source>
        <translation>Đã tải {done} / {total}</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Dừng</translation>
    </message>
    <message>
        <source>Stop the download</source>
        <translation>Dừng tải</translation>
    </message>
</context>
<context>
    <name>PackWatch</name>
    <message>
        <source>The engine crashed twice in a row on the pack {name}: it is off now.</source>
        <translation>Bộ máy bị sập hai lần liên tiếp trên gói {name}: gói này nay đã tắt.</translation>
    </message>
    <message>
        <source>Go back to the one before</source>
        <translation>Quay lại gói trước</translation>
    </message>
    <message>
        <source>Show the engines</source>
        <translation>Xem các bộ máy</translation>
    </message>
    <message>
        <source>The pack {name} is used from the next model that is loaded on.</source>
        <translation>Gói {name} được dùng từ lần nạp mô hình tiếp theo.</translation>
    </message>
</context>
<context>
    <name>Pages</name>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Discover</source>
        <translation>Khám phá</translation>
    </message>
    <message>
        <source>Library</source>
        <translation>Thư viện</translation>
    </message>
    <message>
        <source>Downloads</source>
        <translation>Tải xuống</translation>
    </message>
    <message>
        <source>Lab</source>
        <translation>Thí nghiệm</translation>
    </message>
    <message>
        <source>Usage</source>
        <translation>Sử dụng</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>Máy chủ</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Cài đặt</translation>
    </message>
</context>
<context>
    <name>Palette</name>
    <message>
        <source>Find a command, page, chat, model or setting</source>
        <translation>Tìm lệnh, trang, cuộc trò chuyện, mô hình hay cài đặt</translation>
    </message>
    <message>
        <source>What was found</source>
        <translation>Kết quả tìm</translation>
    </message>
    <message>
        <source>Nothing has these letters.</source>
        <translation>Không có gì khớp với các chữ này.</translation>
    </message>
    <message>
        <source>Page</source>
        <translation>Trang</translation>
    </message>
    <message>
        <source>Command</source>
        <translation>Lệnh</translation>
    </message>
    <message>
        <source>Setting</source>
        <translation>Cài đặt</translation>
    </message>
    <message>
        <source>Chat without a title</source>
        <translation>Cuộc trò chuyện chưa có tên</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Chat with {model}</source>
        <translation>Trò chuyện với {model}</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
</context>
<context>
    <name>PanelDock</name>
    <message>
        <source>Live</source>
        <translation>Trực tiếp</translation>
    </message>
    <message>
        <source>Close the live panels</source>
        <translation>Đóng các bảng trực tiếp</translation>
    </message>
    <message>
        <source>Float the live panels, or put them back</source>
        <translation>Tách các bảng trực tiếp ra, hoặc đặt lại chỗ cũ</translation>
    </message>
</context>
<context>
    <name>PanelTools</name>
    <message>
        <source>Table (*.csv)</source>
        <translation>Bảng (*.csv)</translation>
    </message>
    <message>
        <source>Picture (*.png)</source>
        <translation>Hình ảnh (*.png)</translation>
    </message>
    <message>
        <source>Go on</source>
        <translation>Tiếp tục</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Tạm dừng</translation>
    </message>
    <message>
        <source>Show less time (Ctrl and wheel)</source>
        <translation>Xem khoảng ngắn hơn (Ctrl và con lăn)</translation>
    </message>
    <message>
        <source>Show more time (Ctrl and wheel)</source>
        <translation>Xem khoảng dài hơn (Ctrl và con lăn)</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Xuất</translation>
    </message>
    <message>
        <source>As a table (CSV)…</source>
        <translation>Thành bảng (CSV)…</translation>
    </message>
    <message>
        <source>As a picture (PNG)…</source>
        <translation>Thành hình ảnh (PNG)…</translation>
    </message>
    <message>
        <source>{count} min</source>
        <translation>{count} phút</translation>
    </message>
    <message>
        <source>{count} s</source>
        <translation>{count} giây</translation>
    </message>
</context>
<context>
    <name>PickList</name>
    <message>
        <source>Good to begin with</source>
        <translation>Nên bắt đầu với</translation>
    </message>
    <message>
        <source>Sizes are what is downloaded; the model needs a little more memory than that.</source>
        <translation>Cỡ là lượng tải về; mô hình cần bộ nhớ nhiều hơn một chút.</translation>
    </message>
    <message>
        <source>For computers with {count} GB of memory</source>
        <translation>Cho máy có bộ nhớ {count} GB</translation>
    </message>
    <message>
        <source>Look</source>
        <translation>Xem</translation>
    </message>
    <message>
        <source>Look at {name}</source>
        <translation>Xem {name}</translation>
    </message>
</context>
<context>
    <name>Picks</name>
    <message>
        <source>To try things out; runs anywhere</source>
        <translation>Để thử; chạy được ở mọi máy</translation>
    </message>
    <message>
        <source>Small and quick, for simple questions</source>
        <translation>Nhỏ và nhanh, cho câu hỏi đơn giản</translation>
    </message>
    <message>
        <source>Everyday questions and writing</source>
        <translation>Hỏi đáp và viết hằng ngày</translation>
    </message>
    <message>
        <source>Thinks before it answers</source>
        <translation>Suy nghĩ trước khi trả lời</translation>
    </message>
    <message>
        <source>Programming</source>
        <translation>Lập trình</translation>
    </message>
    <message>
        <source>Many languages</source>
        <translation>Nhiều ngôn ngữ</translation>
    </message>
    <message>
        <source>Large, yet quick: only a part works at a time</source>
        <translation>Lớn mà nhanh: mỗi lúc chỉ một phần làm việc</translation>
    </message>
</context>
<context>
    <name>PictureBar</name>
    <message>
        <source>System prompt</source>
        <translation>Lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>Question</source>
        <translation>Câu hỏi</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>Câu trả lời</translation>
    </message>
    <message>
        <source>Tool's result</source>
        <translation>Kết quả công cụ</translation>
    </message>
    <message>
        <source>always kept</source>
        <translation>luôn giữ</translation>
    </message>
    <message>
        <source>left out by you</source>
        <translation>do bạn bỏ ra</translation>
    </message>
    <message>
        <source>by its summary</source>
        <translation>bằng bản tóm tắt</translation>
    </message>
    <message>
        <source>no longer fits</source>
        <translation>không còn vừa</translation>
    </message>
    <message>
        <source>goes with the next question</source>
        <translation>sẽ bị đẩy ra ở câu hỏi tiếp theo</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} token</translation>
    </message>
</context>
<context>
    <name>PictureChip</name>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation>
            <numerusform>%Ln token</numerusform>
        </translation>
    </message>
    <message>
        <source>Take out the picture {name} ({facts}, {size})</source>
        <translation>Bỏ ảnh {name} ra ({facts}, {size})</translation>
    </message>
</context>
<context>
    <name>PictureDialog</name>
    <message>
        <source>Picture {name}</source>
        <translation>Ảnh {name}</translation>
    </message>
    <message>
        <source>{name} can't be shown</source>
        <translation>Không hiển thị được {name}</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>Lưu…</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Save the picture</source>
        <translation>Lưu ảnh</translation>
    </message>
</context>
<context>
    <name>PictureTile</name>
    <message>
        <source>Picture {name}</source>
        <translation>Ảnh {name}</translation>
    </message>
    <message>
        <source>{name}: click to see it large</source>
        <translation>{name}: bấm để xem ảnh lớn</translation>
    </message>
    <message>
        <source>{name} can't be shown</source>
        <translation>Không hiển thị được {name}</translation>
    </message>
</context>
<context>
    <name>Pictures</name>
    <message>
        <source>pasted image {number}</source>
        <translation>ảnh dán {number}</translation>
    </message>
</context>
<context>
    <name>Planning</name>
    <message>
        <source>Another program uses {device} ({others} of its memory, {share} % busy). Close it, or use another device.</source>
        <translation>Chương trình khác đang dùng {device} ({others} bộ nhớ của nó, bận {share} %). Hãy đóng nó, hoặc dùng thiết bị khác.</translation>
    </message>
    <message>
        <source>Each parallel answer keeps a memory of its own in this model ({each}).</source>
        <translation>Mỗi câu trả lời song song giữ bộ nhớ riêng trong mô hình này ({each}).</translation>
    </message>
    <message>
        <source>Here a million tokens cost {local} {currency}; with {name} {api}: {times} times as much.</source>
        <translation>Ở đây một triệu token tốn {local} {currency}; với {name} là {api}: gấp {times} lần.</translation>
    </message>
    <message>
        <source>It costs about the same here and with {name}: {local} and {api} {currency} for a million tokens.</source>
        <translation>Chi phí ở đây và với {name} gần như nhau: {local} và {api} {currency} cho một triệu token.</translation>
    </message>
    <message>
        <source>It is larger than the free memory: parts will be read from the disk again and again, which is slow.</source>
        <translation>Nó lớn hơn bộ nhớ trống: nhiều phần sẽ phải đọc lại từ đĩa liên tục, rất chậm.</translation>
    </message>
    <message>
        <source>It needs {needed} and {free} are free: the system will swap or stop it.</source>
        <translation>Nó cần {needed} mà còn trống {free}: hệ thống sẽ tráo bộ nhớ hoặc dừng nó.</translation>
    </message>
    <message>
        <source>It writes {now} tokens/s; {low} to {high} were forecast, and no cause was found.</source>
        <translation>Máy viết {now} token/s; dự báo là {low} đến {high}, và không tìm ra nguyên nhân.</translation>
    </message>
    <message>
        <source>Main memory is full: {free} are free. Close programs, or load a smaller quant.</source>
        <translation>Bộ nhớ chính đã đầy: còn trống {free}. Hãy đóng bớt chương trình, hoặc nạp bản lượng tử hóa nhỏ hơn.</translation>
    </message>
    <message>
        <source>Other programs keep the processor busy ({share} %). Close them, or use fewer threads.</source>
        <translation>Các chương trình khác đang chiếm bộ xử lý ({share} %). Hãy đóng chúng, hoặc dùng ít luồng hơn.</translation>
    </message>
    <message>
        <source>The KV cache is kept as {kind} instead of {wanted}, which saves {saved}.</source>
        <translation>Bộ đệm KV giữ ở kiểu {kind} thay vì {wanted}, tiết kiệm {saved}.</translation>
    </message>
    <message>
        <source>The context is {n_ctx} tokens instead of {wanted}: more does not fit.</source>
        <translation>Ngữ cảnh là {n_ctx} token thay vì {wanted}: nhiều hơn thì không vừa.</translation>
    </message>
    <message>
        <source>The context is {n_ctx} tokens, which is what the model was trained for ({wanted} were asked).</source>
        <translation>Ngữ cảnh là {n_ctx} token, đúng mức mô hình được huấn luyện (yêu cầu là {wanted}).</translation>
    </message>
    <message>
        <source>The context of {n_ctx} tokens goes past the {trained} the model was trained for: the further, the worse it answers.</source>
        <translation>Ngữ cảnh {n_ctx} token vượt mức {trained} mà mô hình được huấn luyện: càng vượt xa, câu trả lời càng kém.</translation>
    </message>
    <message>
        <source>The exchange rate from {from} to {to} is not known. Enter it to compare.</source>
        <translation>Chưa biết tỷ giá từ {from} sang {to}. Hãy nhập tỷ giá để so sánh.</translation>
    </message>
    <message>
        <source>The experts of {layers} of {total} layers stay in main memory; all else fits on the GPU.</source>
        <translation>Chuyên gia của {layers} trên {total} lớp nằm ở bộ nhớ chính; phần còn lại vừa trên GPU.</translation>
    </message>
    <message>
        <source>The header could not be read: the numbers are estimates.</source>
        <translation>Không đọc được phần đầu tệp: các con số là ước lượng.</translation>
    </message>
    <message>
        <source>The memory guardrail allows {allowed} on {device}; {needed} are needed, and would be free.</source>
        <translation>Giới hạn bộ nhớ chỉ cho phép {allowed} trên {device}; cần {needed}, và bộ nhớ trống đủ chỗ.</translation>
    </message>
    <message>
        <source>The model is split over {count} GPUs.</source>
        <translation>Mô hình được chia trên {count} GPU.</translation>
    </message>
    <message>
        <source>The model runs on the processor, as asked.</source>
        <translation>Mô hình chạy trên bộ xử lý, như yêu cầu.</translation>
    </message>
    <message>
        <source>The power this machine draws can't be read, so its cost is not known. Enter watts to estimate it.</source>
        <translation>Không đọc được công suất của máy này nên không biết chi phí. Hãy nhập số oát để ước tính.</translation>
    </message>
    <message>
        <source>The whole model runs on {device}.</source>
        <translation>Toàn bộ mô hình chạy trên {device}.</translation>
    </message>
    <message>
        <source>There is no GPU the engine can use, so the model runs on the processor.</source>
        <translation>Không có GPU nào bộ máy dùng được, nên mô hình chạy trên bộ xử lý.</translation>
    </message>
    <message>
        <source>{device} does not tell how much memory it has.</source>
        <translation>{device} không cho biết có bao nhiêu bộ nhớ.</translation>
    </message>
    <message>
        <source>{device} has {free} free and {needed} are needed: it may fail to load or spill into main memory.</source>
        <translation>{device} còn trống {free} mà cần {needed}: có thể không nạp được hoặc tràn sang bộ nhớ chính.</translation>
    </message>
    <message>
        <source>{device} is full and {spilled} of the model lie in main memory. Use fewer GPU layers or less context.</source>
        <translation>{device} đã đầy và {spilled} của mô hình nằm ở bộ nhớ chính. Hãy giảm số lớp GPU hoặc ngữ cảnh.</translation>
    </message>
    <message>
        <source>{device} is held at its power limit of {power} W. Raise the limit, or use another device.</source>
        <translation>{device} bị giữ ở giới hạn công suất {power} W. Hãy nâng giới hạn, hoặc dùng thiết bị khác.</translation>
    </message>
    <message>
        <source>{device} is too hot and slows itself down. Improve its cooling, or use it less.</source>
        <translation>{device} quá nóng và tự giảm tốc. Hãy cải thiện tản nhiệt, hoặc giao cho nó ít việc hơn.</translation>
    </message>
    <message>
        <source>{device} is {temperature} °C hot and slows itself down. Improve its cooling, or use it less.</source>
        <translation>{device} nóng {temperature} °C và tự giảm tốc. Hãy cải thiện tản nhiệt, hoặc giao cho nó ít việc hơn.</translation>
    </message>
    <message>
        <source>{layers} of {total} layers fit on the GPU; the rest runs on the processor and is slower.</source>
        <translation>{layers} trên {total} lớp vừa trên GPU; phần còn lại chạy trên bộ xử lý và chậm hơn.</translation>
    </message>
    <message>
        <source>{layers} of {total} layers run on the GPU, as asked.</source>
        <translation>{layers} trên {total} lớp chạy trên GPU, như yêu cầu.</translation>
    </message>
    <message>
        <source>{model} wrote {before} tokens/s with {old} and writes {now} with {new}. Go back, or report it.</source>
        <translation>{model} từng viết {before} token/s với {old}, nay chỉ {now} với {new}. Hãy quay lại bản cũ, hoặc báo lỗi.</translation>
    </message>
    <message>
        <source>{name} costs nothing for these tokens; here a million of them cost {local} {currency}.</source>
        <translation>{name} không tính tiền cho số token này; tại đây một triệu token tốn {local} {currency}.</translation>
    </message>
    <message>
        <source>{name} is cheaper: {api} {currency} for a million tokens against {local} here ({times} times).</source>
        <translation>{name} rẻ hơn: {api} {currency} cho một triệu token so với {local} ở đây ({times} lần).</translation>
    </message>
</context>
<context>
    <name>PowerPanel</name>
    <message>
        <source>Power and temperature</source>
        <translation>Công suất và nhiệt độ</translation>
    </message>
    <message>
        <source>Not measured yet.</source>
        <translation>Chưa đo.</translation>
    </message>
    <message>
        <source>its driver does not say</source>
        <translation>trình điều khiển không cho biết</translation>
    </message>
    <message>
        <source>processor</source>
        <translation>bộ xử lý</translation>
    </message>
    <message>
        <source>{device}, W</source>
        <translation>{device}, W</translation>
    </message>
    <message>
        <source>{percent} % busy</source>
        <translation>bận {percent} %</translation>
    </message>
    <message>
        <source>not measurable: {why}</source>
        <translation>không đo được: {why}</translation>
    </message>
    <message>
        <source>clock {clock} MHz</source>
        <translation>xung nhịp {clock} MHz</translation>
    </message>
    <message>
        <source>PCIe {generation}, {width} lanes</source>
        <translation>PCIe {generation}, {width} làn</translation>
    </message>
    <message>
        <source>slowed by heat</source>
        <translation>giảm tốc vì nóng</translation>
    </message>
    <message>
        <source>at its power limit</source>
        <translation>chạm giới hạn công suất</translation>
    </message>
</context>
<context>
    <name>PresetBox</name>
    <message>
        <source>As it is set</source>
        <translation>Theo cài đặt</translation>
    </message>
    <message>
        <source>Preset</source>
        <translation>Thiết lập sẵn</translation>
    </message>
</context>
<context>
    <name>PresetDialog</name>
    <message>
        <source>How {model} runs</source>
        <translation>Cách chạy {model}</translation>
    </message>
    <message>
        <source>Profile</source>
        <translation>Hồ sơ</translation>
    </message>
    <message>
        <source>This model</source>
        <translation>Mô hình này</translation>
    </message>
    <message>
        <source>Every model</source>
        <translation>Mọi mô hình</translation>
    </message>
    <message>
        <source>Own way of answering</source>
        <translation>Cách trả lời riêng</translation>
    </message>
    <message>
        <source>System prompt of new chats; empty takes the settings'</source>
        <translation>Lời nhắc hệ thống của cuộc trò chuyện mới; để trống thì theo cài đặt</translation>
    </message>
    <message>
        <source>System prompt</source>
        <translation>Lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>Loading: what is checked differs from the settings</source>
        <translation>Khi nạp: mục được đánh dấu khác với cài đặt</translation>
    </message>
    <message>
        <source>Answers</source>
        <translation>Câu trả lời</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Tên</translation>
    </message>
    <message>
        <source>Description</source>
        <translation>Mô tả</translation>
    </message>
    <message>
        <source>For</source>
        <translation>Dành cho</translation>
    </message>
    <message>
        <source>Forget</source>
        <translation>Quên</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>Xuất…</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Lưu</translation>
    </message>
    <message>
        <source>Kept as it is: {names}</source>
        <translation>Giữ nguyên: {names}</translation>
    </message>
    <message>
        <source>Delete this profile?</source>
        <translation>Xóa hồ sơ này?</translation>
    </message>
    <message>
        <source>Its options are gone then; no model is touched.</source>
        <translation>Các tùy chọn của nó sẽ mất; không mô hình nào bị đụng đến.</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Xuất</translation>
    </message>
    <message>
        <source>Profiles (*.json)</source>
        <translation>Hồ sơ (*.json)</translation>
    </message>
</context>
<context>
    <name>PriceCard</name>
    <message>
        <source>My model</source>
        <translation>Mô hình của tôi</translation>
    </message>
    <message>
        <source>Nothing was asked in this time.</source>
        <translation>Không có câu hỏi nào trong thời gian này.</translation>
    </message>
    <message>
        <source>Choose what you pay for electricity, and this says whether an API is cheaper.</source>
        <translation>Hãy chọn giá điện bạn trả, rồi ở đây sẽ cho biết API có rẻ hơn không.</translation>
    </message>
    <message>
        <source>No model of this table is cheaper.</source>
        <translation>Không mô hình nào trong bảng rẻ hơn.</translation>
    </message>
    <message>
        <source>The cheapest of this table, {name}, is below the cost here.</source>
        <translation>Mô hình rẻ nhất trong bảng, {name}, rẻ hơn ở đây.</translation>
    </message>
    <message>
        <source>Tariff of {date}: {source}.</source>
        <translation>Biểu giá ngày {date}: {source}.</translation>
    </message>
    <message>
        <source>1 USD = {rate} {currency}, as you entered it.</source>
        <translation>1 USD = {rate} {currency}, theo bạn nhập.</translation>
    </message>
    <message>
        <source>1 USD = {rate} {currency}, rounded, of {date}: enter today's rate.</source>
        <translation>1 USD = {rate} {currency}, làm tròn, tháng {date}: hãy nhập tỷ giá hôm nay.</translation>
    </message>
    <message>
        <source>Power is an estimate from the watts you entered.</source>
        <translation>Công suất là ước tính từ số oát bạn nhập.</translation>
    </message>
    <message>
        <source>{name}, prices of {date}: {source}.</source>
        <translation>{name}, giá ngày {date}: {source}.</translation>
    </message>
    <message>
        <source>Prices change: check them, and change them here.</source>
        <translation>Giá hay thay đổi: hãy kiểm tra và sửa ngay tại đây.</translation>
    </message>
    <message>
        <source>Count no money</source>
        <translation>Không tính tiền</translation>
    </message>
    <message>
        <source>My own price (Settings)</source>
        <translation>Giá riêng của tôi (Cài đặt)</translation>
    </message>
    <message>
        <source>Go back to our table of prices?</source>
        <translation>Quay về bảng giá của chúng tôi?</translation>
    </message>
    <message>
        <source>The prices and rows that you entered are gone then.</source>
        <translation>Giá và các dòng bạn đã nhập sẽ mất.</translation>
    </message>
    <message>
        <source>Beside an API</source>
        <translation>So với API</translation>
    </message>
    <message>
        <source>Electricity</source>
        <translation>Tiền điện</translation>
    </message>
    <message>
        <source>Electricity tariff</source>
        <translation>Biểu giá điện</translation>
    </message>
    <message>
        <source>Own price, watts, hardware…</source>
        <translation>Giá riêng, số oát, phần cứng…</translation>
    </message>
    <message>
        <source>Edit the tariffs…</source>
        <translation>Sửa các biểu giá…</translation>
    </message>
    <message>
        <source>Add a model</source>
        <translation>Thêm mô hình</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>Back to our table</source>
        <translation>Về bảng của chúng tôi</translation>
    </message>
</context>
<context>
    <name>PriceLine</name>
    <message>
        <source>Measured: with {kind} {share} of the tokens would differ, with f16 {full}.</source>
        <translation>Đã đo: với {kind} có {share} số token sẽ khác, với f16 là {full}.</translation>
    </message>
    <message>
        <source>Measure what this costs</source>
        <translation>Đo xem mất gì</translation>
    </message>
    <message>
        <source>What a {kind} cache loses with this model is not measured yet.</source>
        <translation>Chưa đo xem bộ đệm {kind} làm mô hình này mất gì.</translation>
    </message>
    <message>
        <source>What a context past the trained length loses is not measured yet.</source>
        <translation>Chưa đo xem ngữ cảnh vượt độ dài huấn luyện làm mất gì.</translation>
    </message>
    <message>
        <source>A job of the lab reads a text with this model.</source>
        <translation>Một việc của phòng thí nghiệm cho mô hình này đọc một văn bản.</translation>
    </message>
    <message>
        <source>It is in the lab's queue; the price stands here when it is done.</source>
        <translation>Đã vào hàng đợi của phòng thí nghiệm; xong sẽ hiện ở đây.</translation>
    </message>
</context>
<context>
    <name>Profiles</name>
    <message>
        <source>{count} context</source>
        <translation>ngữ cảnh {count}</translation>
    </message>
    <message>
        <source>{count} GPU layers</source>
        <translation>{count} lớp trên GPU</translation>
    </message>
    <message>
        <source>%n more</source>
        <translation>thêm %n mục</translation>
    </message>
    <message>
        <source>temperature {value}</source>
        <translation>nhiệt độ {value}</translation>
    </message>
    <message>
        <source>a system prompt</source>
        <translation>một lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>as the settings say</source>
        <translation>theo cài đặt</translation>
    </message>
</context>
<context>
    <name>ProfilesBox</name>
    <message>
        <source>Usually: {choices}</source>
        <translation>Thường dùng: {choices}</translation>
    </message>
    <message>
        <source>Usually: as the settings say</source>
        <translation>Thường dùng: theo cài đặt</translation>
    </message>
    <message>
        <source>Load with {preset}</source>
        <translation>Nạp với {preset}</translation>
    </message>
    <message>
        <source>Change {preset}…</source>
        <translation>Sửa {preset}…</translation>
    </message>
    <message>
        <source>Import a profile</source>
        <translation>Nhập hồ sơ</translation>
    </message>
    <message>
        <source>Profiles (*.json)</source>
        <translation>Hồ sơ (*.json)</translation>
    </message>
    <message>
        <source>Change…</source>
        <translation>Sửa…</translation>
    </message>
    <message>
        <source>New profile…</source>
        <translation>Hồ sơ mới…</translation>
    </message>
    <message>
        <source>Another way to load and ask the same file: nothing is copied.</source>
        <translation>Một cách nạp và hỏi khác cho cùng tệp: không sao chép gì cả.</translation>
    </message>
    <message>
        <source>Import…</source>
        <translation>Nhập…</translation>
    </message>
</context>
<context>
    <name>PromptsDialog</name>
    <message>
        <source>Prompts and system prompts</source>
        <translation>Câu lệnh mẫu và lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>Prompts</source>
        <translation>Câu lệnh mẫu</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Tên</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>Nội dung</translation>
    </message>
    <message>
        <source>A system prompt: it is offered for chats, not in the composer</source>
        <translation>Lời nhắc hệ thống: dùng cho cuộc trò chuyện, không hiện trong ô soạn</translation>
    </message>
    <message>
        <source>Variables: {{date}}, {{time}}, {{clipboard}}, {{file:path}}, {{model}}; any other name is asked for.</source>
        <translation>Biến: {{date}}, {{time}}, {{clipboard}}, {{file:path}}, {{model}}; tên khác sẽ được hỏi.</translation>
    </message>
    <message>
        <source>New prompt</source>
        <translation>Câu lệnh mới</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Xóa</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Lưu</translation>
    </message>
    <message>
        <source>Name, as typed after the slash</source>
        <translation>Tên, gõ sau dấu gạch chéo</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>{name} (system)</source>
        <translation>{name} (hệ thống)</translation>
    </message>
    <message>
        <source>Replace the prompt {name}?</source>
        <translation>Thay câu lệnh mẫu {name}?</translation>
    </message>
    <message>
        <source>There is one of this name already. Its text is gone then.</source>
        <translation>Đã có một câu lệnh mẫu tên này. Nội dung cũ sẽ mất.</translation>
    </message>
    <message>
        <source>Replace</source>
        <translation>Thay</translation>
    </message>
    <message>
        <source>Close without saving?</source>
        <translation>Đóng mà không lưu?</translation>
    </message>
    <message numerus="yes">
        <source>%n prompt(s) have changes that are not saved.</source>
        <translation>
            <numerusform>Có %n câu lệnh mẫu thay đổi chưa lưu.</numerusform>
        </translation>
    </message>
    <message>
        <source>Delete the prompt {name}?</source>
        <translation>Xóa lời nhắc {name}?</translation>
    </message>
    <message>
        <source>Its text is gone then.</source>
        <translation>Nội dung của nó sẽ mất.</translation>
    </message>
</context>
<context>
    <name>QuantCell</name>
    <message>
        <source>Download of {name}</source>
        <translation>Việc tải {name}</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Tiếp tục</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Tạm dừng</translation>
    </message>
    <message>
        <source>{speed}, {left} left</source>
        <translation>{speed}, còn {left}</translation>
    </message>
    <message>
        <source>Cancel and delete what came</source>
        <translation>Hủy và xóa phần đã tải</translation>
    </message>
    <message>
        <source>Load…</source>
        <translation>Nạp…</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
    <message>
        <source>Download {size}</source>
        <translation>Tải {size}</translation>
    </message>
</context>
<context>
    <name>QuantTable</name>
    <message>
        <source>Quant</source>
        <translation>Lượng tử hóa</translation>
    </message>
    <message>
        <source>Size (GB)</source>
        <translation>Cỡ (GB)</translation>
    </message>
    <message>
        <source>On this machine</source>
        <translation>Trên máy này</translation>
    </message>
    <message>
        <source>{quant} (recommended)</source>
        <translation>{quant} (nên chọn)</translation>
    </message>
    <message>
        <source>{bits} bits</source>
        <translation>{bits} bit</translation>
    </message>
    <message>
        <source>{bits} bits per weight, all weights counted</source>
        <translation>{bits} bit mỗi trọng số, tính mọi trọng số</translation>
    </message>
    <message numerus="yes">
        <source>In %n file(s), downloaded as one</source>
        <translation>
            <numerusform>Gồm %n tệp, tải về như một</numerusform>
        </translation>
    </message>
    <message>
        <source>Not known yet.</source>
        <translation>Chưa biết.</translation>
    </message>
    <message>
        <source>Needs about {size} of memory.</source>
        <translation>Cần khoảng {size} bộ nhớ.</translation>
    </message>
    <message>
        <source>about {low}{dash}{high} tokens/s</source>
        <translation>khoảng {low}{dash}{high} token/giây</translation>
    </message>
</context>
<context>
    <name>Quants</name>
    <message>
        <source>a little smaller and less exact than Q4_K_M</source>
        <translation>nhỏ hơn và kém chính xác hơn Q4_K_M một chút</translation>
    </message>
    <message>
        <source>an experiment</source>
        <translation>bản thử nghiệm</translation>
    </message>
    <message>
        <source>an older kind, quick on a CPU</source>
        <translation>loại cũ, nhanh trên CPU</translation>
    </message>
    <message>
        <source>an older kind, quick on a CPU and made for models trained for it</source>
        <translation>loại cũ, nhanh trên CPU, dành cho mô hình được huấn luyện với nó</translation>
    </message>
    <message>
        <source>as most models are published</source>
        <translation>như phần lớn mô hình được công bố</translation>
    </message>
    <message>
        <source>balanced: the usual choice</source>
        <translation>cân bằng: lựa chọn thường dùng</translation>
    </message>
    <message>
        <source>close to the original</source>
        <translation>gần với bản gốc</translation>
    </message>
    <message>
        <source>close to the original, larger than most need</source>
        <translation>gần với bản gốc, lớn hơn mức đa số cần</translation>
    </message>
    <message>
        <source>double precision</source>
        <translation>độ chính xác kép</translation>
    </message>
    <message>
        <source>for little memory</source>
        <translation>cho máy ít bộ nhớ</translation>
    </message>
    <message>
        <source>for little memory, slower on a CPU</source>
        <translation>cho máy ít bộ nhớ, chậm hơn trên CPU</translation>
    </message>
    <message>
        <source>for models trained with one bit per weight</source>
        <translation>cho mô hình huấn luyện với một bit mỗi trọng số</translation>
    </message>
    <message>
        <source>for models trained with three values per weight</source>
        <translation>cho mô hình huấn luyện với ba giá trị mỗi trọng số</translation>
    </message>
    <message>
        <source>for models trained with two bits per weight</source>
        <translation>cho mô hình huấn luyện với hai bit mỗi trọng số</translation>
    </message>
    <message>
        <source>for very little memory</source>
        <translation>cho máy rất ít bộ nhớ</translation>
    </message>
    <message>
        <source>for very little memory, slower on a CPU</source>
        <translation>cho máy rất ít bộ nhớ, chậm hơn trên CPU</translation>
    </message>
    <message>
        <source>full precision, for converting rather than running</source>
        <translation>độ chính xác đầy đủ, để chuyển đổi hơn là để chạy</translation>
    </message>
    <message>
        <source>large</source>
        <translation>lớn</translation>
    </message>
    <message>
        <source>moderate</source>
        <translation>vừa phải</translation>
    </message>
    <message>
        <source>none</source>
        <translation>không</translation>
    </message>
    <message>
        <source>only for very large models</source>
        <translation>chỉ cho mô hình rất lớn</translation>
    </message>
    <message>
        <source>only when nothing else fits</source>
        <translation>chỉ khi không còn bản nào vừa</translation>
    </message>
    <message>
        <source>practically the original at half its size</source>
        <translation>gần như bản gốc với nửa dung lượng</translation>
    </message>
    <message>
        <source>small</source>
        <translation>nhỏ</translation>
    </message>
    <message>
        <source>small for its quality, slower on a CPU</source>
        <translation>nhỏ so với chất lượng, chậm hơn trên CPU</translation>
    </message>
    <message>
        <source>the format its makers trained it for</source>
        <translation>định dạng mà nơi làm ra đã huấn luyện nó</translation>
    </message>
    <message>
        <source>the format of recent NVIDIA GPUs</source>
        <translation>định dạng của các GPU NVIDIA gần đây</translation>
    </message>
    <message>
        <source>tiny</source>
        <translation>rất nhỏ</translation>
    </message>
    <message>
        <source>unknown</source>
        <translation>chưa rõ</translation>
    </message>
    <message>
        <source>very close to the original</source>
        <translation>rất gần với bản gốc</translation>
    </message>
    <message>
        <source>very large</source>
        <translation>rất lớn</translation>
    </message>
    <message>
        <source>{bits}-bit, {note}; loss of quality: {loss}.</source>
        <translation>{bits} bit, {note}; mất chất lượng: {loss}.</translation>
    </message>
</context>
<context>
    <name>QuickAsk</name>
    <message>
        <source>No model here yet</source>
        <translation>Chưa có mô hình nào</translation>
    </message>
    <message>
        <source>Reading the question…</source>
        <translation>Đang đọc câu hỏi…</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Đang viết…</translation>
    </message>
    <message>
        <source>Quick ask</source>
        <translation>Hỏi nhanh</translation>
    </message>
    <message>
        <source>Ask anything</source>
        <translation>Hỏi gì cũng được</translation>
    </message>
    <message>
        <source>Question</source>
        <translation>Câu hỏi</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>Câu trả lời</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Dừng</translation>
    </message>
    <message>
        <source>Ask</source>
        <translation>Hỏi</translation>
    </message>
    <message>
        <source>Continue in Hearth</source>
        <translation>Tiếp tục trong Hearth</translation>
    </message>
    <message>
        <source>Open Hearth</source>
        <translation>Mở Hearth</translation>
    </message>
</context>
<context>
    <name>ReasoningFold</name>
    <message>
        <source>Thinking for {seconds} s</source>
        <translation>Đang nghĩ {seconds} giây</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>Đang nghĩ</translation>
    </message>
    <message>
        <source>Thought for {seconds} s</source>
        <translation>Đã nghĩ {seconds} giây</translation>
    </message>
    <message>
        <source>Thoughts</source>
        <translation>Suy nghĩ</translation>
    </message>
</context>
<context>
    <name>RecipeDialog</name>
    <message>
        <source>GGUF files (*.gguf);;All files (*)</source>
        <translation>Tệp GGUF (*.gguf);;Mọi tệp (*)</translation>
    </message>
    <message>
        <source>How it was made</source>
        <translation>Cách đã tạo ra</translation>
    </message>
    <message>
        <source>{file}: the same source, options and matrix give the same bytes.</source>
        <translation>{file}: cùng nguồn, tùy chọn và ma trận sẽ cho ra đúng từng byte như cũ.</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>Nguồn</translation>
    </message>
    <message>
        <source>Matrix</source>
        <translation>Ma trận</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>Chọn…</translation>
    </message>
    <message>
        <source>Copy the recipe</source>
        <translation>Chép công thức</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Make it again from the recipe</source>
        <translation>Tạo lại theo công thức</translation>
    </message>
    <message>
        <source>The result is compared with the recipe's SHA-256; a file that is there stays.</source>
        <translation>Kết quả được so với SHA-256 trong công thức; tệp đã có vẫn giữ nguyên.</translation>
    </message>
    <message>
        <source>It was made with {engine}, this is {own}: another engine can make other bytes.</source>
        <translation>Bản này được tạo bằng {engine}, ở đây là {own}: bộ máy khác có thể cho ra byte khác.</translation>
    </message>
</context>
<context>
    <name>RepoHead</name>
    <message>
        <source>Parameters</source>
        <translation>Tham số</translation>
    </message>
    <message>
        <source>Architecture</source>
        <translation>Kiến trúc</translation>
    </message>
    <message>
        <source>{count} context</source>
        <translation>ngữ cảnh {count}</translation>
    </message>
    <message>
        <source>Trained context</source>
        <translation>Ngữ cảnh khi huấn luyện</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>Giấy phép</translation>
    </message>
    <message>
        <source>gated</source>
        <translation>cần chấp thuận</translation>
    </message>
    <message>
        <source>Its licence must be accepted before a download.</source>
        <translation>Phải chấp thuận giấy phép trước khi tải.</translation>
    </message>
    <message>
        <source>Tag</source>
        <translation>Thẻ</translation>
    </message>
    <message>
        <source>{count} downloads a month</source>
        <translation>{count} lượt tải mỗi tháng</translation>
    </message>
    <message>
        <source>Last change</source>
        <translation>Thay đổi gần nhất</translation>
    </message>
    <message numerus="yes">
        <source>%n layer(s)</source>
        <translation>
            <numerusform>%n lớp</numerusform>
        </translation>
    </message>
    <message>
        <source>{used} of {count} experts at a time</source>
        <translation>mỗi lúc dùng {used} trong {count} chuyên gia</translation>
    </message>
    <message>
        <source>{count} words in its vocabulary</source>
        <translation>từ vựng {count} mục</translation>
    </message>
    <message>
        <source>window of {count} tokens</source>
        <translation>cửa sổ {count} token</translation>
    </message>
    <message>
        <source>chat template</source>
        <translation>có mẫu trò chuyện</translation>
    </message>
    <message>
        <source>no chat template</source>
        <translation>không có mẫu trò chuyện</translation>
    </message>
    <message>
        <source>From the file's header: {facts}.</source>
        <translation>Từ phần đầu của tệp: {facts}.</translation>
    </message>
    <message>
        <source>Compare quants</source>
        <translation>So sánh các bản lượng tử hóa</translation>
    </message>
    <message>
        <source>Measures those that are on this machine</source>
        <translation>Đo những bản đã có trên máy này</translation>
    </message>
    <message>
        <source>Page on the Hub</source>
        <translation>Trang trên Hub</translation>
    </message>
</context>
<context>
    <name>RepoView</name>
    <message numerus="yes">
        <source>Show %n picture(s)</source>
        <translation>
            <numerusform>Hiện %n hình</numerusform>
        </translation>
    </message>
    <message>
        <source>They are fetched from where the card says, which then knows your address.</source>
        <translation>Chúng được lấy từ nơi thẻ mô hình chỉ ra; nơi đó sẽ biết địa chỉ của bạn.</translation>
    </message>
    <message>
        <source>{repo} asks you to accept its licence before you download.</source>
        <translation>{repo} yêu cầu bạn chấp nhận giấy phép trước khi tải.</translation>
    </message>
    <message>
        <source>Open its page</source>
        <translation>Mở trang của nó</translation>
    </message>
    <message>
        <source>This repository has no GGUF file.</source>
        <translation>Kho này không có tệp GGUF.</translation>
    </message>
    <message>
        <source>None of these files fits this machine wholly.</source>
        <translation>Không tệp nào vừa trọn với máy này.</translation>
    </message>
    <message>
        <source>{quant} is recommended: the usual balance of size and quality</source>
        <translation>Nên chọn {quant}: cân bằng thường dùng giữa cỡ và chất lượng</translation>
    </message>
    <message>
        <source>{quant} is recommended: the model was trained for this format</source>
        <translation>Nên chọn {quant}: mô hình được huấn luyện cho định dạng này</translation>
    </message>
    <message>
        <source>{quant} is recommended: the best that fits here</source>
        <translation>Nên chọn {quant}: bản tốt nhất vừa với máy này</translation>
    </message>
    <message>
        <source>{quant} is recommended: the smallest there is</source>
        <translation>Nên chọn {quant}: bản nhỏ nhất hiện có</translation>
    </message>
    <message>
        <source>, and it runs wholly on the GPU.</source>
        <translation>, và chạy trọn trên GPU.</translation>
    </message>
    <message>
        <source>, and it fits in memory.</source>
        <translation>, và vừa với bộ nhớ.</translation>
    </message>
    <message>
        <source>Measuring, up to a minute…</source>
        <translation>Đang đo, tối đa một phút…</translation>
    </message>
    <message>
        <source>Measure this machine's speed</source>
        <translation>Đo tốc độ máy này</translation>
    </message>
    <message>
        <source>Then every file here shows how quick it would be, before a download.</source>
        <translation>Khi đó mỗi tệp ở đây cho biết sẽ nhanh đến đâu, trước khi tải.</translation>
    </message>
    <message>
        <source>The vision projector ({size}) comes too, so that the model sees images. Stop it in the list if you don't need it.</source>
        <translation>Bộ chiếu hình ảnh ({size}) cũng được tải về để mô hình xem được ảnh. Nếu không cần, hãy dừng nó trong danh sách.</translation>
    </message>
    <message>
        <source>Files to download</source>
        <translation>Các tệp để tải</translation>
    </message>
    <message>
        <source>Model card</source>
        <translation>Trang giới thiệu mô hình</translation>
    </message>
</context>
<context>
    <name>ReportDialog</name>
    <message>
        <source>Crash report</source>
        <translation>Báo cáo sự cố</translation>
    </message>
    <message>
        <source>What Hearth was doing when it ended. Nothing of your chats is in it, and nothing was sent.</source>
        <translation>Những gì Hearth đang làm khi bị dừng. Không có nội dung trò chuyện nào trong đây, và không có gì được gửi đi.</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
</context>
<context>
    <name>Sampling</name>
    <message>
        <source>Temperature</source>
        <translation>Nhiệt độ</translation>
    </message>
    <message>
        <source>Top K</source>
        <translation>Top K</translation>
    </message>
    <message>
        <source>Top P</source>
        <translation>Top P</translation>
    </message>
    <message>
        <source>Min P</source>
        <translation>Min P</translation>
    </message>
    <message>
        <source>Repeat penalty</source>
        <translation>Phạt lặp lại</translation>
    </message>
    <message>
        <source>Longest answer</source>
        <translation>Câu trả lời dài nhất</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Hạt giống</translation>
    </message>
    <message>
        <source>0 always takes the likeliest token; higher is freer.</source>
        <translation>0 luôn lấy token có khả năng nhất; cao hơn thì phóng khoáng hơn.</translation>
    </message>
    <message>
        <source>Only the K likeliest tokens; 0 takes all.</source>
        <translation>Chỉ K token có khả năng nhất; 0 lấy tất cả.</translation>
    </message>
    <message>
        <source>The likeliest tokens that make up this share; 1 takes all.</source>
        <translation>Các token có khả năng nhất chiếm đủ tỉ lệ này; 1 lấy tất cả.</translation>
    </message>
    <message>
        <source>Leaves out what is less likely than this share of the best.</source>
        <translation>Bỏ token kém khả năng hơn tỉ lệ này so với token tốt nhất.</translation>
    </message>
    <message>
        <source>Over 1 makes tokens that were there lately rarer.</source>
        <translation>Trên 1 làm các token vừa xuất hiện hiếm đi.</translation>
    </message>
    <message>
        <source>In tokens; 0: as long as it needs.</source>
        <translation>Tính bằng token; 0: dài tùy ý.</translation>
    </message>
    <message>
        <source>The same seed gives the same answer; -1: another each time.</source>
        <translation>Cùng hạt giống cho cùng câu trả lời; -1: mỗi lần một khác.</translation>
    </message>
</context>
<context>
    <name>ServerActivity</name>
    <message>
        <source>Requests now</source>
        <translation>Yêu cầu hiện tại</translation>
    </message>
    <message>
        <source>Requests now: {active} being answered, {waiting} waiting</source>
        <translation>Yêu cầu hiện tại: {active} đang trả lời, {waiting} đang chờ</translation>
    </message>
    <message>
        <source>No request holds these words.</source>
        <translation>Không có yêu cầu nào chứa các từ này.</translation>
    </message>
    <message>
        <source>Requests to the server are listed here, with the beginning of each prompt.</source>
        <translation>Các yêu cầu gửi tới máy chủ được liệt kê ở đây, kèm phần đầu của mỗi câu hỏi.</translation>
    </message>
    <message>
        <source>Requests to the server are listed here; prompts and answers are never kept.</source>
        <translation>Các yêu cầu gửi tới máy chủ được liệt kê ở đây; câu hỏi và câu trả lời không bao giờ được lưu.</translation>
    </message>
    <message>
        <source>Prompt: {text}</source>
        <translation>Câu hỏi: {text}</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Client</source>
        <translation>Ứng dụng gọi</translation>
    </message>
    <message>
        <source>Doing</source>
        <translation>Đang làm</translation>
    </message>
    <message>
        <source>Prompt</source>
        <translation>Câu hỏi</translation>
    </message>
    <message>
        <source>Written</source>
        <translation>Đã viết</translation>
    </message>
    <message>
        <source>Prefill/s</source>
        <translation>Đọc/s</translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation>Token/s</translation>
    </message>
    <message>
        <source>Time (s)</source>
        <translation>Thời gian (s)</translation>
    </message>
    <message>
        <source>waits for room</source>
        <translation>chờ có chỗ</translation>
    </message>
    <message>
        <source>receiving</source>
        <translation>đang nhận</translation>
    </message>
    <message>
        <source>loading</source>
        <translation>đang nạp</translation>
    </message>
    <message>
        <source>waiting</source>
        <translation>đang chờ</translation>
    </message>
    <message>
        <source>reading</source>
        <translation>đang đọc</translation>
    </message>
    <message>
        <source>writing</source>
        <translation>đang viết</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Giờ</translation>
    </message>
    <message>
        <source>Request</source>
        <translation>Yêu cầu</translation>
    </message>
    <message>
        <source>Status</source>
        <translation>Trạng thái</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>Khóa</translation>
    </message>
    <message>
        <source>Tokens in / out</source>
        <translation>Token vào / ra</translation>
    </message>
    <message>
        <source>Loaded models</source>
        <translation>Mô hình đã nạp</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Lịch sử</translation>
    </message>
    <message>
        <source>No model is being asked at the moment.</source>
        <translation>Hiện không có mô hình nào đang được hỏi.</translation>
    </message>
    <message>
        <source>Cancel this request</source>
        <translation>Hủy yêu cầu này</translation>
    </message>
    <message>
        <source>Its client gets what was written so far</source>
        <translation>Ứng dụng gọi sẽ nhận phần đã viết xong</translation>
    </message>
    <message>
        <source>Filter: model, path, key, status</source>
        <translation>Lọc: mô hình, đường dẫn, khóa, mã</translation>
    </message>
    <message>
        <source>Filter the history</source>
        <translation>Lọc lịch sử</translation>
    </message>
    <message>
        <source>Requests being answered</source>
        <translation>Yêu cầu đang được trả lời</translation>
    </message>
</context>
<context>
    <name>ServerConnect</name>
    <message>
        <source>in a terminal</source>
        <translation>trong cửa sổ dòng lệnh</translation>
    </message>
    <message>
        <source>in a Python program</source>
        <translation>trong chương trình Python</translation>
    </message>
    <message>
        <source>in a page or Node.js</source>
        <translation>trong trang web hoặc Node.js</translation>
    </message>
    <message>
        <source>in its settings</source>
        <translation>trong phần cài đặt của nó</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Đã sao chép</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Addresses</source>
        <translation>Địa chỉ</translation>
    </message>
    <message>
        <source>How to call it</source>
        <translation>Cách gọi</translation>
    </message>
    <message>
        <source>Scan it to take the address to a phone</source>
        <translation>Quét để đưa địa chỉ vào điện thoại</translation>
    </message>
    <message>
        <source>Program</source>
        <translation>Chương trình</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Example request</source>
        <translation>Yêu cầu mẫu</translation>
    </message>
</context>
<context>
    <name>ServerKeys</name>
    <message>
        <source>Name</source>
        <translation>Tên</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>Khóa</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Tình trạng</translation>
    </message>
    <message>
        <source>Last used</source>
        <translation>Dùng lần cuối</translation>
    </message>
    <message>
        <source>Requests</source>
        <translation>Yêu cầu</translation>
    </message>
    <message>
        <source>Tokens in / out</source>
        <translation>Token vào / ra</translation>
    </message>
    <message>
        <source>Energy (Wh)</source>
        <translation>Điện năng (Wh)</translation>
    </message>
    <message>
        <source>Not measurable: this machine does not tell its power.</source>
        <translation>Không đo được: máy này không cho biết công suất.</translation>
    </message>
    <message>
        <source>Without a key</source>
        <translation>Không có khóa</translation>
    </message>
    <message>
        <source>The key of the settings</source>
        <translation>Khóa trong phần cài đặt</translation>
    </message>
    <message>
        <source>removed</source>
        <translation>đã gỡ</translation>
    </message>
    <message>
        <source>revoked</source>
        <translation>đã thu hồi</translation>
    </message>
    <message>
        <source>{count} a minute</source>
        <translation>{count} mỗi phút</translation>
    </message>
    <message>
        <source>valid</source>
        <translation>còn hiệu lực</translation>
    </message>
    <message>
        <source>As long as there is no key, everyone who reaches the server may use it. With one, only those who send it. Keys are kept as hashes: a key is seen once, when it is made.</source>
        <translation>Khi chưa có khóa nào, ai kết nối được tới máy chủ đều dùng được. Khi đã có, chỉ ai gửi kèm khóa mới dùng được. Khóa chỉ được lưu dưới dạng băm: bạn chỉ thấy khóa một lần, lúc tạo ra.</translation>
    </message>
    <message>
        <source>Who is it for? For example: laptop, home assistant</source>
        <translation>Dành cho ai? Ví dụ: máy tính xách tay, trợ lý nhà</translation>
    </message>
    <message>
        <source>Name of the new key</source>
        <translation>Tên của khóa mới</translation>
    </message>
    <message>
        <source>Requests a minute</source>
        <translation>Số yêu cầu mỗi phút</translation>
    </message>
    <message>
        <source>no limit</source>
        <translation>không giới hạn</translation>
    </message>
    <message>
        <source>Create key</source>
        <translation>Tạo khóa</translation>
    </message>
    <message>
        <source>Revoke</source>
        <translation>Thu hồi</translation>
    </message>
    <message>
        <source>Revoke the key {name}?</source>
        <translation>Thu hồi khóa {name}?</translation>
    </message>
    <message>
        <source>Programs that use it are refused from now on; it can't be taken back.</source>
        <translation>Từ nay các chương trình dùng khóa này sẽ bị từ chối; không thể hoàn lại.</translation>
    </message>
    <message>
        <source>It is refused from now on</source>
        <translation>Từ giờ khóa này sẽ bị từ chối</translation>
    </message>
    <message>
        <source>Remove from the list</source>
        <translation>Gỡ khỏi danh sách</translation>
    </message>
    <message>
        <source>Choose a key to revoke it.</source>
        <translation>Chọn một khóa để thu hồi.</translation>
    </message>
    <message>
        <source>Keys</source>
        <translation>Khóa</translation>
    </message>
</context>
<context>
    <name>ServerPage</name>
    <message>
        <source>Stop the server</source>
        <translation>Tắt máy chủ</translation>
    </message>
    <message>
        <source>Start the server</source>
        <translation>Bật máy chủ</translation>
    </message>
    <message>
        <source>Everyone on your network can use the server. With a key, only those you give it to.</source>
        <translation>Mọi người trong mạng của bạn đều dùng được máy chủ. Khi có khóa, chỉ người bạn trao khóa mới dùng được.</translation>
    </message>
    <message>
        <source>Create a key</source>
        <translation>Tạo khóa</translation>
    </message>
    <message>
        <source>Use port {port}</source>
        <translation>Dùng cổng {port}</translation>
    </message>
    <message>
        <source>The server is on</source>
        <translation>Máy chủ đang bật</translation>
    </message>
    <message>
        <source>Starting…</source>
        <translation>Đang bật…</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>Đang tắt…</translation>
    </message>
    <message>
        <source>The server could not start</source>
        <translation>Máy chủ không bật được</translation>
    </message>
    <message>
        <source>The server is off</source>
        <translation>Máy chủ đang tắt</translation>
    </message>
    <message>
        <source>Programs on this machine can use your models as they use OpenAI's.</source>
        <translation>Chương trình trên máy này dùng được mô hình của bạn như dùng OpenAI.</translation>
    </message>
    <message>
        <source>Switch it on to let other programs use your models, as they use OpenAI's.</source>
        <translation>Bật lên để chương trình khác dùng mô hình của bạn như dùng OpenAI.</translation>
    </message>
    <message>
        <source>Home network</source>
        <translation>Mạng trong nhà</translation>
    </message>
    <message>
        <source>The new address is used when the server starts again.</source>
        <translation>Địa chỉ mới có hiệu lực khi máy chủ bật lại.</translation>
    </message>
    <message>
        <source>Restart it now</source>
        <translation>Bật lại ngay</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Đã sao chép</translation>
    </message>
    <message>
        <source>Copy address</source>
        <translation>Sao chép địa chỉ</translation>
    </message>
    <message>
        <source>Activity</source>
        <translation>Hoạt động</translation>
    </message>
    <message>
        <source>Connect</source>
        <translation>Kết nối</translation>
    </message>
    <message>
        <source>Keys</source>
        <translation>Khóa</translation>
    </message>
    <message>
        <source>Parts of this page</source>
        <translation>Các phần của trang này</translation>
    </message>
    <message>
        <source>Other machines on the network may use it</source>
        <translation>Cho máy khác trong mạng sử dụng</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>Máy chủ</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Cài đặt</translation>
    </message>
</context>
<context>
    <name>SettingRow</name>
    <message>
        <source>Back to the default: {value}</source>
        <translation>Về mặc định: {value}</translation>
    </message>
    <message>
        <source>Undo: {value} again</source>
        <translation>Hoàn tác: lại là {value}</translation>
    </message>
    <message>
        <source>Undo: what stood here again</source>
        <translation>Hoàn tác: lấy lại nội dung trước</translation>
    </message>
    <message>
        <source>on</source>
        <translation>bật</translation>
    </message>
    <message>
        <source>off</source>
        <translation>tắt</translation>
    </message>
    <message>
        <source>empty</source>
        <translation>để trống</translation>
    </message>
</context>
<context>
    <name>Settings</name>
    <message>
        <source>-1 puts as many on the GPU as there are; 0 uses the CPU alone.</source>
        <translation>-1 đặt hết các lớp lên GPU; 0 chỉ dùng CPU.</translation>
    </message>
    <message>
        <source>-1 takes the model's own.</source>
        <translation>-1 lấy giá trị của mô hình.</translation>
    </message>
    <message>
        <source>-1 takes the model's own; 0 interpolates only.</source>
        <translation>-1 lấy giá trị của mô hình; 0 chỉ nội suy.</translation>
    </message>
    <message>
        <source>0 always picks the likeliest token; higher is more varied.</source>
        <translation>0 luôn chọn token có khả năng nhất; cao hơn thì đa dạng hơn.</translation>
    </message>
    <message>
        <source>0 lets Hearth choose; more than the physical cores is slower.</source>
        <translation>0 để Hearth chọn; nhiều hơn số nhân thật sẽ chậm hơn.</translation>
    </message>
    <message>
        <source>0 takes the model's own.</source>
        <translation>0 lấy giá trị của mô hình.</translation>
    </message>
    <message>
        <source>0 takes the model's own; higher stretches the context (NTK).</source>
        <translation>0 lấy giá trị của mô hình; cao hơn kéo dài ngữ cảnh (NTK).</translation>
    </message>
    <message>
        <source>0 uses as many as for answers.</source>
        <translation>0 dùng bằng số luồng khi trả lời.</translation>
    </message>
    <message>
        <source>127.0.0.1 answers this machine only; 0.0.0.0 answers the whole network.</source>
        <translation>127.0.0.1 chỉ trả lời máy này; 0.0.0.0 trả lời cả mạng.</translation>
    </message>
    <message>
        <source>A certificate (PEM) makes the server answer https; empty for http.</source>
        <translation>Có chứng chỉ (PEM) thì máy chủ dùng https; để trống thì dùng http.</translation>
    </message>
    <message>
        <source>A file (PEM) with certificates to trust besides the system's.</source>
        <translation>Tệp (PEM) chứa các chứng chỉ được tin ngoài những cái của hệ thống.</translation>
    </message>
    <message>
        <source>API key</source>
        <translation>Khóa API</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>Địa chỉ</translation>
    </message>
    <message>
        <source>Address for updates</source>
        <translation>Địa chỉ cập nhật</translation>
    </message>
    <message>
        <source>After its first answer the model names the chat; off keeps the question's first words.</source>
        <translation>Sau câu trả lời đầu tiên, mô hình đặt tên cuộc trò chuyện; tắt thì giữ những từ đầu của câu hỏi.</translation>
    </message>
    <message>
        <source>Allowed web pages</source>
        <translation>Trang web được phép</translation>
    </message>
    <message>
        <source>An mmproj file that lets the model see images; empty takes the one beside the model, none leaves it out.</source>
        <translation>Tệp mmproj giúp mô hình xem được ảnh; để trống thì dùng tệp nằm cạnh mô hình, none thì không dùng.</translation>
    </message>
    <message>
        <source>Answers written at the same time; they share the context.</source>
        <translation>Số câu trả lời viết cùng lúc; chúng chia sẻ ngữ cảnh.</translation>
    </message>
    <message>
        <source>Batch size</source>
        <translation>Cỡ lô</translation>
    </message>
    <message>
        <source>Certificate file</source>
        <translation>Tệp chứng chỉ</translation>
    </message>
    <message>
        <source>Certificate's key file</source>
        <translation>Tệp khóa của chứng chỉ</translation>
    </message>
    <message>
        <source>Certificates</source>
        <translation>Chứng chỉ</translation>
    </message>
    <message>
        <source>Changes at once, without a restart.</source>
        <translation>Đổi ngay, không cần khởi động lại.</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Closing goes to the tray</source>
        <translation>Đóng thì thu vào khay</translation>
    </message>
    <message>
        <source>Connections for each file</source>
        <translation>Số kết nối cho mỗi tệp</translation>
    </message>
    <message>
        <source>Context length</source>
        <translation>Độ dài ngữ cảnh</translation>
    </message>
    <message>
        <source>Counts its write-off, in the tariff's currency; 0 counts electricity alone.</source>
        <translation>Tính cả khấu hao, theo đơn vị tiền của biểu giá; 0 chỉ tính tiền điện.</translation>
    </message>
    <message>
        <source>Devices</source>
        <translation>Thiết bị</translation>
    </message>
    <message>
        <source>Download only then, as 22:00-07:00; empty is always.</source>
        <translation>Chỉ tải trong khoảng này, như 22:00-07:00; để trống là luôn luôn.</translation>
    </message>
    <message>
        <source>Downloads</source>
        <translation>Tải xuống</translation>
    </message>
    <message>
        <source>Downloads at a time</source>
        <translation>Số tệp tải cùng lúc</translation>
    </message>
    <message>
        <source>Empty: HF_ENDPOINT, else the Hugging Face Hub. A mirror's address works.</source>
        <translation>Để trống: HF_ENDPOINT, nếu không thì Hugging Face Hub. Địa chỉ bản sao cũng được.</translation>
    </message>
    <message>
        <source>Empty: the system's. none: no proxy. Or http://user:password@host:port.</source>
        <translation>Để trống: theo hệ thống. none: không dùng proxy. Hoặc http://user:password@host:port.</translation>
    </message>
    <message>
        <source>Energy and money</source>
        <translation>Điện năng và chi phí</translation>
    </message>
    <message>
        <source>Engine</source>
        <translation>Bộ máy</translation>
    </message>
    <message>
        <source>Enter sends</source>
        <translation>Enter để gửi</translation>
    </message>
    <message>
        <source>Exchange rate</source>
        <translation>Tỷ giá</translation>
    </message>
    <message>
        <source>Experts in main memory</source>
        <translation>Chuyên gia ở bộ nhớ chính</translation>
    </message>
    <message>
        <source>Flash attention</source>
        <translation>Flash attention</translation>
    </message>
    <message>
        <source>For each key; 0 sets no limit.</source>
        <translation>Cho mỗi khóa; 0 là không giới hạn.</translation>
    </message>
    <message>
        <source>For each model, beyond those being answered; more are told to come back later.</source>
        <translation>Cho mỗi mô hình, ngoài những yêu cầu đang trả lời; nhiều hơn sẽ được bảo quay lại sau.</translation>
    </message>
    <message>
        <source>For mixture-of-experts models: the experts of this many layers stay off the GPU.</source>
        <translation>Với mô hình hỗn hợp chuyên gia: chuyên gia của chừng này lớp không nằm trên GPU.</translation>
    </message>
    <message>
        <source>For requests that give none: the same number, plan and batch give the same text; -1 takes a new one.</source>
        <translation>Dùng cho yêu cầu không kèm hạt giống: cùng số, cùng cách nạp và cùng lô thì ra cùng văn bản; -1 là mỗi lần một số mới.</translation>
    </message>
    <message>
        <source>Full sliding-window cache</source>
        <translation>Bộ đệm cửa sổ trượt đầy đủ</translation>
    </message>
    <message>
        <source>Further addresses, asked when they are quicker or the Hub is away; never with your token.</source>
        <translation>Các địa chỉ khác, được hỏi khi chúng nhanh hơn hoặc Hub vắng mặt; không bao giờ kèm mã của bạn.</translation>
    </message>
    <message>
        <source>GPU layers</source>
        <translation>Số lớp trên GPU</translation>
    </message>
    <message>
        <source>General</source>
        <translation>Chung</translation>
    </message>
    <message>
        <source>GiB a model may take when the guardrail is custom.</source>
        <translation>Số GiB một mô hình được dùng khi rào chắn là tùy chỉnh.</translation>
    </message>
    <message>
        <source>Hardware price</source>
        <translation>Giá phần cứng</translation>
    </message>
    <message>
        <source>Hearth goes on working when its last window is closed; quit from the tray or the menu.</source>
        <translation>Hearth vẫn chạy khi cửa sổ cuối cùng đóng lại; thoát từ khay hệ thống hoặc từ menu.</translation>
    </message>
    <message>
        <source>Hours</source>
        <translation>Giờ tải</translation>
    </message>
    <message>
        <source>Hours of work a day</source>
        <translation>Số giờ làm việc mỗi ngày</translation>
    </message>
    <message>
        <source>Household's use</source>
        <translation>Điện gia đình dùng</translation>
    </message>
    <message>
        <source>How long it works on a usual day.</source>
        <translation>Thời gian máy chạy trong một ngày bình thường.</translation>
    </message>
    <message>
        <source>How much is shown</source>
        <translation>Mức hiển thị</translation>
    </message>
    <message>
        <source>How much memory a load must leave free; off loads whatever it takes.</source>
        <translation>Lượng bộ nhớ phải chừa lại khi nạp; tắt thì nạp bằng mọi giá.</translation>
    </message>
    <message>
        <source>How to go past the trained context; quality falls the further you go.</source>
        <translation>Cách vượt ngữ cảnh đã huấn luyện; càng xa chất lượng càng giảm.</translation>
    </message>
    <message>
        <source>Hub</source>
        <translation>Hub</translation>
    </message>
    <message>
        <source>Hub address</source>
        <translation>Địa chỉ Hub</translation>
    </message>
    <message>
        <source>Icon in the tray</source>
        <translation>Biểu tượng ở khay hệ thống</translation>
    </message>
    <message>
        <source>Idle conversations (MiB)</source>
        <translation>Hội thoại đang nghỉ (MiB)</translation>
    </message>
    <message>
        <source>In percent, for the whole window; Ctrl + and Ctrl - too.</source>
        <translation>Theo phần trăm, cho cả cửa sổ; cũng bằng Ctrl + và Ctrl -.</translation>
    </message>
    <message>
        <source>In seconds; it is then cut short. 0 lets it take as long as it needs.</source>
        <translation>Tính bằng giây; sau đó bị cắt. 0 thì không giới hạn.</translation>
    </message>
    <message>
        <source>In tokens; 0 lets it run to the end of the context.</source>
        <translation>Tính bằng token; 0 thì viết đến hết ngữ cảnh.</translation>
    </message>
    <message>
        <source>KV cache on the GPU</source>
        <translation>Bộ đệm KV trên GPU</translation>
    </message>
    <message>
        <source>KV cache type</source>
        <translation>Kiểu bộ đệm KV</translation>
    </message>
    <message>
        <source>Keep each token's probability and this many alternatives; 0 keeps none, and is quicker.</source>
        <translation>Giữ xác suất của từng token và ngần này lựa chọn khác; 0 thì không giữ và nhanh hơn.</translation>
    </message>
    <message>
        <source>Keep the computer awake</source>
        <translation>Giữ máy không ngủ</translation>
    </message>
    <message>
        <source>Keeps all tokens of sliding-window layers: more memory, prefixes reused.</source>
        <translation>Giữ mọi token của lớp cửa sổ trượt: tốn bộ nhớ hơn, dùng lại được phần đầu.</translation>
    </message>
    <message>
        <source>Keeps the system from swapping the model out.</source>
        <translation>Không cho hệ thống tráo mô hình ra đĩa.</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Ngôn ngữ</translation>
    </message>
    <message>
        <source>LoRA adapters</source>
        <translation>Bộ chuyển LoRA</translation>
    </message>
    <message>
        <source>Loads quicker, and the system may drop pages it can read again.</source>
        <translation>Nạp nhanh hơn, và hệ thống có thể bỏ những trang đọc lại được.</translation>
    </message>
    <message>
        <source>Lock in memory</source>
        <translation>Khóa trong bộ nhớ</translation>
    </message>
    <message>
        <source>Longest answer</source>
        <translation>Câu trả lời dài nhất</translation>
    </message>
    <message>
        <source>Longest request</source>
        <translation>Yêu cầu dài nhất</translation>
    </message>
    <message>
        <source>Look for updates</source>
        <translation>Tìm bản cập nhật</translation>
    </message>
    <message>
        <source>Main GPU</source>
        <translation>GPU chính</translation>
    </message>
    <message>
        <source>Main memory for conversations in between: they slow no other and go on at once; 0 switches it off.</source>
        <translation>Bộ nhớ chính dành cho các hội thoại tạm nghỉ: không làm chậm hội thoại khác và tiếp tục được ngay; 0 là tắt.</translation>
    </message>
    <message>
        <source>Map the file</source>
        <translation>Ánh xạ tệp</translation>
    </message>
    <message>
        <source>Memory allowed</source>
        <translation>Bộ nhớ cho phép</translation>
    </message>
    <message>
        <source>Memory guardrail</source>
        <translation>Rào chắn bộ nhớ</translation>
    </message>
    <message>
        <source>Micro-batch size</source>
        <translation>Cỡ lô nhỏ</translation>
    </message>
    <message>
        <source>Minutes without a request; 0 keeps models loaded.</source>
        <translation>Số phút không có yêu cầu; 0 thì giữ mô hình luôn nạp.</translation>
    </message>
    <message>
        <source>Mirrors</source>
        <translation>Bản sao</translation>
    </message>
    <message>
        <source>More helps where each one is slow.</source>
        <translation>Nhiều hơn có ích khi mỗi kết nối chậm.</translation>
    </message>
    <message>
        <source>More rarely makes it faster.</source>
        <translation>Nhiều hơn hiếm khi nhanh hơn.</translation>
    </message>
    <message>
        <source>Names with commas, as `hearth doctor` lists them; empty lets Hearth choose.</source>
        <translation>Các tên cách nhau bằng dấu phẩy, như `hearth doctor` liệt kê; để trống thì Hearth chọn.</translation>
    </message>
    <message>
        <source>Nothing is looked for before you say so; the Help menu looks whenever you ask.</source>
        <translation>Hearth không tự tìm trước khi bạn cho phép; trình đơn Trợ giúp tìm bất cứ khi nào bạn muốn.</translation>
    </message>
    <message>
        <source>What a chat no longer tells the model when it is too long; each chat may choose its own.</source>
        <translation>Phần nào không còn được gửi cho mô hình khi cuộc trò chuyện quá dài; mỗi cuộc có thể chọn riêng.</translation>
    </message>
    <message>
        <source>A key for every program, on X11, Windows and Wayland, which asks you first when you change it here; on macOS use the tray. Empty: none.</source>
        <translation>Phím dùng được trong mọi chương trình, trên X11, Windows và Wayland (Wayland hỏi bạn trước khi đổi phím ở đây); trên macOS hãy dùng khay. Để trống: không có.</translation>
    </message>
    <message>
        <source>-1 takes the model's own; another counts only where the extrapolation is 0.</source>
        <translation>-1 dùng giá trị của chính mô hình; giá trị khác chỉ có tác dụng khi ngoại suy bằng 0.</translation>
    </message>
    <message>
        <source>0 takes the model's own, with linear and yarn what the context needs; 0.5 doubles the context.</source>
        <translation>0 dùng giá trị của mô hình, với linear và yarn là mức ngữ cảnh cần; 0,5 tăng gấp đôi ngữ cảnh.</translation>
    </message>
    <message>
        <source>Nothing slides or fades, and the caret does not blink; so too when your system asks for it.</source>
        <translation>Không gì trượt hay mờ dần, con trỏ không nhấp nháy; hệ thống của bạn yêu cầu thì cũng vậy.</translation>
    </message>
    <message>
        <source>Notifications</source>
        <translation>Thông báo</translation>
    </message>
    <message>
        <source>Numbers with commas: 3,1 gives the first three quarters.</source>
        <translation>Các số cách nhau bằng dấu phẩy: 3,1 cho GPU đầu ba phần tư.</translation>
    </message>
    <message>
        <source>Off keeps the context in main memory: slower, but room for layers.</source>
        <translation>Tắt thì giữ ngữ cảnh ở bộ nhớ chính: chậm hơn nhưng có chỗ cho các lớp.</translation>
    </message>
    <message>
        <source>One KV cache for all</source>
        <translation>Một bộ đệm KV chung</translation>
    </message>
    <message>
        <source>One a line: the name a client asks for = a model here. A * stands for anything.</source>
        <translation>Mỗi dòng một mục: tên mà máy khách hỏi = một mô hình ở đây. Dấu * thay cho bất cứ gì.</translation>
    </message>
    <message>
        <source>One origin a line, as https://chat.example; pages of this machine are always allowed.</source>
        <translation>Mỗi dòng một nguồn, như https://chat.example; trang của máy này luôn được phép.</translation>
    </message>
    <message>
        <source>Only the likeliest tokens that add up to this share are considered.</source>
        <translation>Chỉ xét các token có khả năng nhất cộng lại đến tỉ lệ này.</translation>
    </message>
    <message>
        <source>Only used where power can't be read; such figures are marked as entered. 0: not said.</source>
        <translation>Chỉ dùng khi không đọc được công suất; các số liệu đó được ghi là tự nhập. 0: chưa nhập.</translation>
    </message>
    <message>
        <source>Other names for models</source>
        <translation>Tên khác cho mô hình</translation>
    </message>
    <message>
        <source>Over which the hardware is written off.</source>
        <translation>Khoảng thời gian khấu hao phần cứng.</translation>
    </message>
    <message>
        <source>PATH or PATH:SCALE with commas, each a GGUF adapter of this model.</source>
        <translation>PATH hoặc PATH:SCALE cách nhau bằng dấu phẩy, mỗi mục là bộ chuyển GGUF của mô hình này.</translation>
    </message>
    <message>
        <source>PATTERN=BUFFER pairs with commas, first match wins: ffn_.*_exps=CPU.</source>
        <translation>Các cặp PATTERN=BUFFER cách nhau bằng dấu phẩy, cặp khớp đầu được dùng: ffn_.*_exps=CPU.</translation>
    </message>
    <message>
        <source>Parallel requests</source>
        <translation>Yêu cầu song song</translation>
    </message>
    <message>
        <source>Parallel requests share the context; off gives each its own of that length.</source>
        <translation>Các yêu cầu song song chia sẻ ngữ cảnh; tắt thì mỗi yêu cầu có ngữ cảnh riêng dài như vậy.</translation>
    </message>
    <message>
        <source>Port</source>
        <translation>Cổng</translation>
    </message>
    <message>
        <source>Price per kWh</source>
        <translation>Giá mỗi kWh</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>Public key for updates</source>
        <translation>Khóa công khai để cập nhật</translation>
    </message>
    <message>
        <source>Put before every new chat.</source>
        <translation>Đặt trước mỗi cuộc trò chuyện mới.</translation>
    </message>
    <message>
        <source>Quick ask from anywhere</source>
        <translation>Hỏi nhanh từ bất cứ đâu</translation>
    </message>
    <message>
        <source>Quick questions and the server's state, where there is one.</source>
        <translation>Hỏi nhanh và trạng thái máy chủ, ở nơi có khay hệ thống.</translation>
    </message>
    <message>
        <source>Reduce motion</source>
        <translation>Giảm chuyển động</translation>
    </message>
    <message>
        <source>Requests a minute</source>
        <translation>Yêu cầu mỗi phút</translation>
    </message>
    <message>
        <source>RoPE base frequency</source>
        <translation>Tần số gốc RoPE</translation>
    </message>
    <message>
        <source>RoPE frequency scale</source>
        <translation>Hệ số tần số RoPE</translation>
    </message>
    <message>
        <source>RoPE scaling</source>
        <translation>Co giãn RoPE</translation>
    </message>
    <message>
        <source>Saves memory on long contexts; auto uses it where the device can.</source>
        <translation>Tiết kiệm bộ nhớ khi ngữ cảnh dài; tự động thì dùng khi thiết bị hỗ trợ.</translation>
    </message>
    <message>
        <source>Seconds that answers being written get when the server stops.</source>
        <translation>Số giây dành cho câu trả lời đang viết khi máy chủ tắt.</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>Hạt giống ngẫu nhiên</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>Máy chủ</translation>
    </message>
    <message>
        <source>Shares of the GPUs</source>
        <translation>Phần của mỗi GPU</translation>
    </message>
    <message>
        <source>Shift+Enter then starts a new line; off swaps the two.</source>
        <translation>Khi đó Shift+Enter xuống dòng; tắt thì đổi ngược lại.</translation>
    </message>
    <message>
        <source>Show prompts in the log</source>
        <translation>Hiện câu hỏi trong nhật ký</translation>
    </message>
    <message>
        <source>Simple: ask and answer. Full: models, server, figures. Developer: raw texts and all else.</source>
        <translation>Đơn giản: hỏi và đáp. Đầy đủ: mô hình, máy chủ, số liệu. Nhà phát triển: văn bản thô và mọi thứ khác.</translation>
    </message>
    <message>
        <source>Speed limit</source>
        <translation>Giới hạn tốc độ</translation>
    </message>
    <message>
        <source>Split over GPUs</source>
        <translation>Chia trên các GPU</translation>
    </message>
    <message>
        <source>Start with Hearth</source>
        <translation>Bật cùng Hearth</translation>
    </message>
    <message>
        <source>System follows your desktop, high contrast too.</source>
        <translation>“Theo hệ thống” đi theo màn hình nền của bạn, kể cả tương phản cao.</translation>
    </message>
    <message>
        <source>System prompt</source>
        <translation>Lời nhắc hệ thống</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>Nhiệt độ</translation>
    </message>
    <message>
        <source>Tensor placement</source>
        <translation>Vị trí tensor</translation>
    </message>
    <message>
        <source>The V half of the KV cache; a quantized one needs flash attention.</source>
        <translation>Nửa V của bộ đệm KV; nếu lượng tử hóa thì cần flash attention.</translation>
    </message>
    <message>
        <source>The log of requests then shows the beginning of what was asked. It is never written to disk.</source>
        <translation>Nhật ký yêu cầu khi đó hiện phần đầu của câu hỏi. Phần này không bao giờ được ghi ra đĩa.</translation>
    </message>
    <message>
        <source>The one used when nothing is split, and for small tensors.</source>
        <translation>GPU dùng khi không chia, và cho các tensor nhỏ.</translation>
    </message>
    <message>
        <source>The private key (PEM) that belongs to the certificate.</source>
        <translation>Khóa riêng (PEM) của chứng chỉ.</translation>
    </message>
    <message>
        <source>The server is on whenever the window is.</source>
        <translation>Máy chủ bật mỗi khi cửa sổ mở.</translation>
    </message>
    <message>
        <source>Theme</source>
        <translation>Giao diện</translation>
    </message>
    <message>
        <source>Threads</source>
        <translation>Số luồng</translation>
    </message>
    <message>
        <source>Threads for prompts</source>
        <translation>Số luồng đọc lời nhắc</translation>
    </message>
    <message>
        <source>Time to finish</source>
        <translation>Thời gian để xong</translation>
    </message>
    <message>
        <source>Titles by the model</source>
        <translation>Mô hình đặt tiêu đề</translation>
    </message>
    <message>
        <source>Token probabilities</source>
        <translation>Xác suất token</translation>
    </message>
    <message>
        <source>Tokens computed at once; more is faster on GPUs and takes memory.</source>
        <translation>Số token tính cùng lúc; nhiều thì nhanh hơn trên GPU và tốn bộ nhớ.</translation>
    </message>
    <message>
        <source>Tokens of prompts read in one step.</source>
        <translation>Số token lời nhắc đọc trong một bước.</translation>
    </message>
    <message>
        <source>Tokens the model can see at once. More costs memory and speed.</source>
        <translation>Số token mô hình thấy được cùng lúc. Nhiều hơn thì tốn bộ nhớ và chậm hơn.</translation>
    </message>
    <message>
        <source>Top P</source>
        <translation>Top P</translation>
    </message>
    <message>
        <source>Units of your currency for one US dollar, which APIs are priced in; 0 takes the table's.</source>
        <translation>Số đơn vị tiền của bạn cho một đô la Mỹ (đơn vị giá của API); 0 dùng tỷ giá trong bảng.</translation>
    </message>
    <message>
        <source>Unload after</source>
        <translation>Gỡ ra sau</translation>
    </message>
    <message>
        <source>Updates</source>
        <translation>Cập nhật</translation>
    </message>
    <message>
        <source>V cache type</source>
        <translation>Kiểu bộ đệm V</translation>
    </message>
    <message>
        <source>Vision projector</source>
        <translation>Bộ chiếu hình ảnh</translation>
    </message>
    <message>
        <source>Waiting requests</source>
        <translation>Yêu cầu đang chờ</translation>
    </message>
    <message>
        <source>Watts under load</source>
        <translation>Công suất khi chạy (W)</translation>
    </message>
    <message>
        <source>Watts when idle</source>
        <translation>Công suất khi nghỉ (W)</translation>
    </message>
    <message>
        <source>Way of fetching</source>
        <translation>Cách tải</translation>
    </message>
    <message>
        <source>What the list must be signed by: Ed25519 in base64, one a line.</source>
        <translation>Danh sách phải được ký bằng khóa này: Ed25519 dạng base64, mỗi dòng một khóa.</translation>
    </message>
    <message>
        <source>What the machine draws without work; kept apart from what a request causes.</source>
        <translation>Điện máy tiêu thụ khi không làm việc; tách riêng khỏi phần do yêu cầu gây ra.</translation>
    </message>
    <message>
        <source>When a long answer or a download ends and Hearth is not in front.</source>
        <translation>Khi một câu trả lời dài hay một lượt tải kết thúc mà Hearth không ở trước mặt.</translation>
    </message>
    <message>
        <source>When set, clients must send it. Set one before you answer the network.</source>
        <translation>Khi đặt, máy khách phải gửi nó. Hãy đặt trước khi mở ra mạng.</translation>
    </message>
    <message>
        <source>When the context is full</source>
        <translation>Khi ngữ cảnh đầy</translation>
    </message>
    <message>
        <source>Where programs find the server; 0 takes any free port.</source>
        <translation>Nơi chương trình tìm thấy máy chủ; 0 lấy cổng trống bất kỳ.</translation>
    </message>
    <message>
        <source>Where the signed list of versions is, as https://example.org/hearth. Empty: none.</source>
        <translation>Nơi có danh sách phiên bản đã ký, ví dụ https://example.org/hearth. Để trống: không có.</translation>
    </message>
    <message>
        <source>While something is downloading.</source>
        <translation>Trong khi có gì đó đang tải.</translation>
    </message>
    <message>
        <source>YaRN attention factor</source>
        <translation>Hệ số chú ý YaRN</translation>
    </message>
    <message>
        <source>YaRN beta fast</source>
        <translation>YaRN beta nhanh</translation>
    </message>
    <message>
        <source>YaRN beta slow</source>
        <translation>YaRN beta chậm</translation>
    </message>
    <message>
        <source>YaRN extrapolation</source>
        <translation>Ngoại suy YaRN</translation>
    </message>
    <message>
        <source>YaRN trained context</source>
        <translation>Ngữ cảnh huấn luyện YaRN</translation>
    </message>
    <message>
        <source>Years of use</source>
        <translation>Số năm sử dụng</translation>
    </message>
    <message>
        <source>Your own flat price, taxes included; 0 takes the tariff chosen on the Usage page.</source>
        <translation>Giá cố định của bạn, đã gồm thuế; 0 dùng biểu giá chọn ở trang Sử dụng.</translation>
    </message>
    <message>
        <source>Zoom</source>
        <translation>Thu phóng</translation>
    </message>
    <message>
        <source>auto takes Xet from the Hub itself and plain HTTP from mirrors.</source>
        <translation>Tự động: dùng Xet từ chính Hub và HTTP thường từ bản sao.</translation>
    </message>
    <message>
        <source>kB per second, all downloads together; 0: none.</source>
        <translation>kB mỗi giây, cho mọi tệp cùng lúc; 0: không giới hạn.</translation>
    </message>
    <message>
        <source>kWh a month without Hearth: with stepped tariffs it decides which step comes next.</source>
        <translation>Số kWh mỗi tháng khi không có Hearth: với giá bậc thang, nó quyết định bậc tiếp theo.</translation>
    </message>
    <message>
        <source>layer gives each GPU whole layers; row splits each matrix; none uses one.</source>
        <translation>Theo lớp: mỗi GPU nhận trọn các lớp; theo hàng: chia từng ma trận; không: dùng một GPU.</translation>
    </message>
    <message>
        <source>q8_0 halves the memory of the context at almost no loss; q4_0 loses more.</source>
        <translation>q8_0 giảm nửa bộ nhớ ngữ cảnh mà hầu như không mất gì; q4_0 mất nhiều hơn.</translation>
    </message>
</context>
<context>
    <name>SettingsPage</name>
    <message>
        <source>Settings</source>
        <translation>Cài đặt</translation>
    </message>
    <message>
        <source>Search settings</source>
        <translation>Tìm cài đặt</translation>
    </message>
    <message>
        <source>No setting has these words.</source>
        <translation>Không có cài đặt nào chứa những từ này.</translation>
    </message>
</context>
<context>
    <name>ShortcutsDialog</name>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>Phím tắt</translation>
    </message>
    <message>
        <source>Search shortcuts</source>
        <translation>Tìm phím tắt</translation>
    </message>
    <message>
        <source>Use it here instead</source>
        <translation>Dùng cho lệnh này</translation>
    </message>
    <message>
        <source>Reset all</source>
        <translation>Đặt lại tất cả</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Back to the default for: {command}</source>
        <translation>Về mặc định cho: {command}</translation>
    </message>
    <message>
        <source>{keys} is the key of “{command}”.</source>
        <translation>{keys} đang là phím của “{command}”.</translation>
    </message>
    <message>
        <source>Reset all shortcuts?</source>
        <translation>Đặt lại mọi phím tắt?</translation>
    </message>
    <message numerus="yes">
        <source>%n command(s) go back to their own keys.</source>
        <translation>
            <numerusform>%n lệnh trở về phím riêng của mình.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>SignInDialog</name>
    <message>
        <source>Looking…</source>
        <translation>Đang xem…</translation>
    </message>
    <message>
        <source>Signed in as {name}; the token comes from HF_TOKEN.</source>
        <translation>Đã đăng nhập là {name}; token lấy từ HF_TOKEN.</translation>
    </message>
    <message>
        <source>Signed in as {name}; the token is in the system's keyring.</source>
        <translation>Đã đăng nhập là {name}; token nằm trong kho khóa của hệ thống.</translation>
    </message>
    <message>
        <source>Signed in as {name}; the token is the one of the Hub's own command line.</source>
        <translation>Đã đăng nhập là {name}; token là của dòng lệnh riêng của Hub.</translation>
    </message>
    <message>
        <source>Not signed in.</source>
        <translation>Chưa đăng nhập.</translation>
    </message>
    <message>
        <source>Access to {repo}</source>
        <translation>Quyền truy cập {repo}</translation>
    </message>
    <message>
        <source>Sign in to the Hub</source>
        <translation>Đăng nhập vào Hub</translation>
    </message>
    <message>
        <source>Its publisher asks you to accept a licence on its page. The download goes on by itself then.</source>
        <translation>Nhà phát hành yêu cầu bạn chấp thuận giấy phép trên trang của mô hình. Sau đó lượt tải sẽ tự tiếp tục.</translation>
    </message>
    <message>
        <source>Open its page</source>
        <translation>Mở trang của nó</translation>
    </message>
    <message>
        <source>Hearth needs a token of the account that accepted it. Reading is all it must allow.</source>
        <translation>Hearth cần token của tài khoản đã chấp thuận. Chỉ cần quyền đọc.</translation>
    </message>
    <message>
        <source>For gated and private models. A token that may read is enough; it goes to the Hub only.</source>
        <translation>Cho các mô hình riêng tư hoặc cần chấp thuận. Token có quyền đọc là đủ; nó chỉ được gửi đến Hub.</translation>
    </message>
    <message>
        <source>Token (hf_…)</source>
        <translation>Token (hf_…)</translation>
    </message>
    <message>
        <source>Token</source>
        <translation>Token</translation>
    </message>
    <message>
        <source>Get a token</source>
        <translation>Lấy token</translation>
    </message>
    <message>
        <source>Sign out</source>
        <translation>Đăng xuất</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Sign in</source>
        <translation>Đăng nhập</translation>
    </message>
</context>
<context>
    <name>SlashList</name>
    <message>
        <source>Commands</source>
        <translation>Lệnh</translation>
    </message>
</context>
<context>
    <name>SourceBox</name>
    <message>
        <source>A good source: nothing or next to nothing is lost in it.</source>
        <translation>Nguồn tốt: chưa mất gì hoặc gần như không mất gì.</translation>
    </message>
    <message>
        <source>Source model</source>
        <translation>Mô hình nguồn</translation>
    </message>
    <message>
        <source>Another…</source>
        <translation>Nguồn khác…</translation>
    </message>
    <message>
        <source>From the Hub, or a folder of original weights</source>
        <translation>Từ Hub, hoặc một thư mục trọng số gốc</translation>
    </message>
</context>
<context>
    <name>SpeedPanel</name>
    <message>
        <source>Tokens per second</source>
        <translation>Token mỗi giây</translation>
    </message>
    <message>
        <source>writing (decode)</source>
        <translation>viết (decode)</translation>
    </message>
    <message>
        <source>reading (prefill)</source>
        <translation>đọc (prefill)</translation>
    </message>
    <message>
        <source>{name}, last minute</source>
        <translation>{name}, phút vừa qua</translation>
    </message>
    <message>
        <source>all together</source>
        <translation>tổng cộng</translation>
    </message>
    <message numerus="yes">
        <source>and %n more</source>
        <translation>
            <numerusform>và %n câu khác</numerusform>
        </translation>
    </message>
    <message>
        <source>answer {number}</source>
        <translation>câu trả lời {number}</translation>
    </message>
    <message>
        <source>No model has been asked yet.</source>
        <translation>Chưa hỏi mô hình nào.</translation>
    </message>
</context>
<context>
    <name>StatusBar</name>
    <message>
        <source>No model is loaded</source>
        <translation>Chưa nạp mô hình</translation>
    </message>
    <message>
        <source>Loading {model}</source>
        <translation>Đang nạp {model}</translation>
    </message>
    <message>
        <source>{speed} tokens/s</source>
        <translation>{speed} token/giây</translation>
    </message>
    <message>
        <source>Being written now, all models together.</source>
        <translation>Đang viết, tính chung mọi mô hình.</translation>
    </message>
    <message>
        <source>The last answer.</source>
        <translation>Câu trả lời gần nhất.</translation>
    </message>
    <message>
        <source>No model has been asked yet.</source>
        <translation>Chưa hỏi mô hình nào.</translation>
    </message>
    <message>
        <source>starting</source>
        <translation>đang bật</translation>
    </message>
    <message>
        <source>stopping</source>
        <translation>đang tắt</translation>
    </message>
    <message>
        <source>failed</source>
        <translation>lỗi</translation>
    </message>
    <message>
        <source>off</source>
        <translation>tắt</translation>
    </message>
    <message>
        <source>Server: {state}</source>
        <translation>Máy chủ: {state}</translation>
    </message>
    <message>
        <source>Open the server page</source>
        <translation>Mở trang máy chủ</translation>
    </message>
</context>
<context>
    <name>SystemDialog</name>
    <message>
        <source>System prompt of this chat</source>
        <translation>Lời nhắc hệ thống của cuộc trò chuyện này</translation>
    </message>
    <message>
        <source>What the model is told before anything else. It holds from the next question on.</source>
        <translation>Điều mô hình được dặn trước tiên. Có hiệu lực từ câu hỏi tiếp theo.</translation>
    </message>
    <message>
        <source>System prompts of the library</source>
        <translation>Lời nhắc hệ thống trong thư viện</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Use it</source>
        <translation>Dùng</translation>
    </message>
</context>
<context>
    <name>Tariffs</name>
    <message>
        <source>Decision 1279/QD-BCT of 9 May 2025, before VAT; second hand, check your bill</source>
        <translation>Quyết định 1279/QĐ-BCT ngày 9/5/2025, chưa gồm VAT; nguồn gián tiếp, hãy xem hóa đơn của bạn</translation>
    </message>
    <message>
        <source>Decision 1279/QD-BCT, weekdays, prices before VAT; check your bill</source>
        <translation>Quyết định 1279/QĐ-BCT, ngày thường, chưa gồm VAT; hãy xem hóa đơn của bạn</translation>
    </message>
    <message>
        <source>EDF Tarif Bleu, 6 kVA, taxes included</source>
        <translation>EDF Tarif Bleu, 6 kVA, đã gồm thuế</translation>
    </message>
    <message>
        <source>EDF Tarif Bleu, taxes included; your own night hours are on your bill</source>
        <translation>EDF Tarif Bleu, đã gồm thuế; giờ đêm của bạn ghi trên hóa đơn</translation>
    </message>
    <message>
        <source>France, regulated (Base)</source>
        <translation>Pháp, giá quy định (Base)</translation>
    </message>
    <message>
        <source>France, regulated (day and night)</source>
        <translation>Pháp, giá quy định (ngày và đêm)</translation>
    </message>
    <message>
        <source>Germany, household average</source>
        <translation>Đức, trung bình hộ gia đình</translation>
    </message>
    <message>
        <source>Great Britain, price cap</source>
        <translation>Anh, giá trần</translation>
    </message>
    <message>
        <source>Japan, household (TEPCO B, three steps)</source>
        <translation>Nhật Bản, sinh hoạt (TEPCO B, ba bậc)</translation>
    </message>
    <message>
        <source>Ofgem price cap, VAT included</source>
        <translation>giá trần Ofgem, đã gồm VAT</translation>
    </message>
    <message>
        <source>TEPCO metered lighting B, without fuel adjustment and levy</source>
        <translation>TEPCO chiếu sáng loại B, chưa gồm điều chỉnh nhiên liệu và phụ phí</translation>
    </message>
    <message>
        <source>United States, residential average</source>
        <translation>Hoa Kỳ, trung bình hộ gia đình</translation>
    </message>
    <message>
        <source>Vietnam, business below 6 kV (EVN, by hour)</source>
        <translation>Việt Nam, kinh doanh dưới 6 kV (EVN, theo giờ)</translation>
    </message>
    <message>
        <source>Vietnam, household (EVN, six steps)</source>
        <translation>Việt Nam, sinh hoạt (EVN, sáu bậc)</translation>
    </message>
    <message>
        <source>a published comparison of official price lists, April 2026; not checked at the source</source>
        <translation>bảng so sánh các bảng giá chính thức đã công bố, tháng 4/2026; chưa kiểm tra tại nguồn</translation>
    </message>
    <message>
        <source>from memory, not checked</source>
        <translation>theo trí nhớ, chưa kiểm tra</translation>
    </message>
    <message>
        <source>order of the BDEW's average for 3,500 kWh a year, taxes included</source>
        <translation>cỡ trung bình của BDEW cho 3.500 kWh mỗi năm, đã gồm thuế</translation>
    </message>
    <message>
        <source>order of the EIA's monthly average; states differ from 0.12 to 0.40</source>
        <translation>cỡ trung bình hằng tháng của EIA; các bang từ 0,12 đến 0,40</translation>
    </message>
</context>
<context>
    <name>TextPicker</name>
    <message>
        <source>English, Vietnamese and code</source>
        <translation>Tiếng Anh, tiếng Việt và mã</translation>
    </message>
    <message>
        <source>My own chats</source>
        <translation>Trò chuyện của chính tôi</translation>
    </message>
    <message>
        <source>A text file…</source>
        <translation>Tệp văn bản…</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>Văn bản</translation>
    </message>
    <message>
        <source>A text file</source>
        <translation>Một tệp văn bản</translation>
    </message>
    <message>
        <source>Texts (*.txt *.md);;All files (*)</source>
        <translation>Văn bản (*.txt *.md);;Mọi tệp (*)</translation>
    </message>
    <message>
        <source>They stay on this machine; nothing of them goes into a result or a card.</source>
        <translation>Chúng ở lại trên máy này; không phần nào đi vào kết quả hay thẻ đo.</translation>
    </message>
    <message>
        <source>Plain text, the kind the model will be used for.</source>
        <translation>Văn bản thuần, đúng loại mà mô hình sẽ dùng cho.</translation>
    </message>
    <message>
        <source>Comes with Hearth, under a free licence.</source>
        <translation>Đi kèm Hearth, theo giấy phép tự do.</translation>
    </message>
</context>
<context>
    <name>TokensDialog</name>
    <message>
        <source>Tokens and probabilities</source>
        <translation>Token và xác suất</translation>
    </message>
    <message>
        <source>The answer, token by token</source>
        <translation>Câu trả lời, từng token</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>{count} tokens.</source>
        <translation>{count} token.</translation>
    </message>
    <message>
        <source>The probabilities were not kept: the answer was asked for without them.</source>
        <translation>Xác suất không được giữ: câu trả lời được yêu cầu mà không kèm xác suất.</translation>
    </message>
    <message>
        <source>Keep them from now on and answer again</source>
        <translation>Giữ từ bây giờ và trả lời lại</translation>
    </message>
    <message>
        <source>Perplexity {perplexity}; {unsure} tokens had less than 50 %. Yellow: under 90 %, red: under 10 %.</source>
        <translation>Perplexity {perplexity}; {unsure} token dưới 50 %. Vàng: dưới 90 %, đỏ: dưới 10 %.</translation>
    </message>
</context>
<context>
    <name>ToolCard</name>
    <message>
        <source>Called {name}</source>
        <translation>Đã gọi {name}</translation>
    </message>
    <message>
        <source>Result of {name}</source>
        <translation>Kết quả của {name}</translation>
    </message>
    <message>
        <source>a tool</source>
        <translation>một công cụ</translation>
    </message>
</context>
<context>
    <name>Transcript</name>
    <message>
        <source>Conversation</source>
        <translation>Cuộc trò chuyện</translation>
    </message>
    <message>
        <source>Jump to the end (End)</source>
        <translation>Đến cuối (End)</translation>
    </message>
    <message>
        <source>Jump to the end</source>
        <translation>Đến cuối</translation>
    </message>
</context>
<context>
    <name>Tray</name>
    <message>
        <source>Server: {address}</source>
        <translation>Máy chủ: {address}</translation>
    </message>
    <message>
        <source>Server: off</source>
        <translation>Máy chủ: tắt</translation>
    </message>
    <message>
        <source>Server: not answering</source>
        <translation>Máy chủ: chưa trả lời</translation>
    </message>
    <message>
        <source>Quick ask…</source>
        <translation>Hỏi nhanh…</translation>
    </message>
    <message>
        <source>Show Hearth</source>
        <translation>Hiện Hearth</translation>
    </message>
    <message>
        <source>New window</source>
        <translation>Cửa sổ mới</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Thoát</translation>
    </message>
</context>
<context>
    <name>Turn</name>
    <message>
        <source>Reading the prompt: {done} of {total} tokens</source>
        <translation>Đang đọc lời nhắc: {done} trên {total} token</translation>
    </message>
    <message>
        <source>Loading {model}: {percent} %</source>
        <translation>Đang nạp {model}: {percent} %</translation>
    </message>
    <message>
        <source>No room for {model} yet; answering now: {others}</source>
        <translation>Chưa đủ chỗ cho {model}; đang bận trả lời: {others}</translation>
    </message>
    <message>
        <source>Waiting for the model</source>
        <translation>Đang đợi mô hình</translation>
    </message>
</context>
<context>
    <name>TypeTable</name>
    <message>
        <source>Types to make</source>
        <translation>Kiểu sẽ tạo</translation>
    </message>
    <message>
        <source>Show the usual ones</source>
        <translation>Chỉ hiện kiểu thường dùng</translation>
    </message>
    <message>
        <source>Show all {count}</source>
        <translation>Hiện cả {count}</translation>
    </message>
</context>
<context>
    <name>UndoBar</name>
    <message>
        <source>Undo</source>
        <translation>Hoàn tác</translation>
    </message>
    <message>
        <source>Undo: {what}</source>
        <translation>Hoàn tác: {what}</translation>
    </message>
</context>
<context>
    <name>Unloading</name>
    <message>
        <source>Unload while it answers?</source>
        <translation>Gỡ khi mô hình đang trả lời?</translation>
    </message>
    <message>
        <source>%n answer(s) would break off; what is written of them is kept.</source>
        <translation>%n câu trả lời sẽ bị ngắt; phần đã viết vẫn được giữ.</translation>
    </message>
    <message>
        <source>Unload</source>
        <translation>Gỡ</translation>
    </message>
</context>
<context>
    <name>UpdateDialog</name>
    <message>
        <source>Updates</source>
        <translation>Cập nhật</translation>
    </message>
    <message>
        <source>What is new</source>
        <translation>Có gì mới</translation>
    </message>
    <message>
        <source>Progress</source>
        <translation>Tiến độ</translation>
    </message>
    <message>
        <source>Command</source>
        <translation>Lệnh</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Sao chép</translation>
    </message>
    <message>
        <source>Going back to the version before this one…</source>
        <translation>Đang quay lại phiên bản trước…</translation>
    </message>
    <message>
        <source>May Hearth look for new versions at {address}? It asks for one small, signed list. Nothing about you, your chats or your models is sent. Nothing is downloaded or installed before you have read what is new and agreed.</source>
        <translation>Hearth có được tìm phiên bản mới tại {address} không? Hearth chỉ hỏi một danh sách nhỏ đã ký. Không gửi gì về bạn, trò chuyện hay mô hình của bạn. Không tải hay cài gì trước khi bạn đọc những điểm mới và đồng ý.</translation>
    </message>
    <message>
        <source>Never by itself</source>
        <translation>Không bao giờ tự tìm</translation>
    </message>
    <message>
        <source>Only now</source>
        <translation>Chỉ lần này</translation>
    </message>
    <message>
        <source>Every week</source>
        <translation>Hằng tuần</translation>
    </message>
    <message>
        <source>Looking for a newer version…</source>
        <translation>Đang tìm phiên bản mới hơn…</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Hearth {version} is the newest at {host}.</source>
        <translation>Hearth {version} là bản mới nhất tại {host}.</translation>
    </message>
    <message>
        <source>Hearth {version} is there. This is {current}.</source>
        <translation>Đã có Hearth {version}. Bản đang dùng là {current}.</translation>
    </message>
    <message>
        <source>Later</source>
        <translation>Để sau</translation>
    </message>
    <message>
        <source>Not this version</source>
        <translation>Bỏ qua bản này</translation>
    </message>
    <message>
        <source>Download {size}</source>
        <translation>Tải xuống {size}</translation>
    </message>
    <message>
        <source>Published {date} at {host}; its signature is right.</source>
        <translation>Công bố ngày {date} tại {host}; chữ ký đúng.</translation>
    </message>
    <message>
        <source>Downloading Hearth {version}…</source>
        <translation>Đang tải Hearth {version}…</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Dừng</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} trên {total}</translation>
    </message>
    <message>
        <source>Hearth {version} is here, and it is the very file that was signed. This version is kept.</source>
        <translation>Hearth {version} đã về máy và đúng là tệp đã được ký. Phiên bản hiện tại vẫn được giữ lại.</translation>
    </message>
    <message>
        <source>Install it</source>
        <translation>Cài đặt</translation>
    </message>
    <message>
        <source>Putting it beside this version…</source>
        <translation>Đang đặt bản mới cạnh bản này…</translation>
    </message>
    <message>
        <source>The installer of Hearth {version} is started; Hearth closes for it.</source>
        <translation>Bộ cài của Hearth {version} đã chạy; Hearth sẽ đóng để cài.</translation>
    </message>
    <message>
        <source>Your system's package manager puts Hearth {version} in place. Let it ask for your password, or run this in a terminal:</source>
        <translation>Trình quản lý gói của hệ thống sẽ cài Hearth {version}. Hãy để nó hỏi mật khẩu của bạn, hoặc chạy lệnh này trong cửa sổ dòng lệnh:</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Đóng</translation>
    </message>
    <message>
        <source>Hearth {version} is in place; it is used from the next start on.</source>
        <translation>Hearth {version} đã sẵn sàng và được dùng từ lần khởi động sau.</translation>
    </message>
    <message>
        <source>Restart now</source>
        <translation>Khởi động lại ngay</translation>
    </message>
    <message>
        <source>Stopped; what came is kept.</source>
        <translation>Đã dừng; phần đã tải vẫn được giữ.</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Thử lại</translation>
    </message>
</context>
<context>
    <name>UpdateWatch</name>
    <message>
        <source>Hearth {version} is there.</source>
        <translation>Đã có Hearth {version}.</translation>
    </message>
    <message>
        <source>See what is new</source>
        <translation>Xem có gì mới</translation>
    </message>
    <message>
        <source>May Hearth look for new versions at {host}?</source>
        <translation>Hearth có được tìm phiên bản mới tại {host} không?</translation>
    </message>
    <message>
        <source>Decide…</source>
        <translation>Quyết định…</translation>
    </message>
    <message>
        <source>This is Hearth {version} now. Settings &gt; Updates goes back to the one before.</source>
        <translation>Đây là Hearth {version}. Vào Cài đặt &gt; Cập nhật để quay lại bản trước.</translation>
    </message>
</context>
<context>
    <name>UpdatesCard</name>
    <message>
        <source>installed by the package manager</source>
        <translation>cài bằng trình quản lý gói</translation>
    </message>
    <message>
        <source>installed for you by its .run file</source>
        <translation>cài riêng cho bạn bằng tệp .run</translation>
    </message>
    <message>
        <source>run from its AppDir</source>
        <translation>chạy từ AppDir</translation>
    </message>
    <message>
        <source>run from its AppImage</source>
        <translation>chạy từ AppImage</translation>
    </message>
    <message>
        <source>installed by its setup</source>
        <translation>cài bằng bộ cài</translation>
    </message>
    <message>
        <source>installed as an app</source>
        <translation>cài như một ứng dụng</translation>
    </message>
    <message>
        <source>run from its source code: update that instead</source>
        <translation>chạy từ mã nguồn: hãy cập nhật mã nguồn</translation>
    </message>
    <message>
        <source>a copy that no installer made</source>
        <translation>bản sao không do bộ cài nào tạo ra</translation>
    </message>
    <message>
        <source>Never looked for a newer version.</source>
        <translation>Chưa từng tìm phiên bản mới hơn.</translation>
    </message>
    <message>
        <source>Last looked for a newer version: {when}.</source>
        <translation>Lần tìm phiên bản mới gần nhất: {when}.</translation>
    </message>
    <message>
        <source>Look now…</source>
        <translation>Tìm ngay…</translation>
    </message>
    <message>
        <source>Go back to {version}</source>
        <translation>Quay lại {version}</translation>
    </message>
</context>
<context>
    <name>UsagePage</name>
    <message>
        <source>{count} of {total} answers measured</source>
        <translation>đo được {count} trên {total} câu trả lời</translation>
    </message>
    <message>
        <source>power can't be read here: enter watts in the settings</source>
        <translation>không đọc được công suất: hãy nhập số oát trong cài đặt</translation>
    </message>
    <message>
        <source>tokens: {read} read, {written} written</source>
        <translation>token: đọc {read}, viết {written}</translation>
    </message>
    <message>
        <source>energy of all answers</source>
        <translation>điện năng của mọi câu trả lời</translation>
    </message>
    <message>
        <source>for a million tokens</source>
        <translation>cho một triệu token</translation>
    </message>
    <message>
        <source>electricity</source>
        <translation>tiền điện</translation>
    </message>
    <message>
        <source>electricity {electricity}, hardware {hardware}</source>
        <translation>điện {electricity}, phần cứng {hardware}</translation>
    </message>
    <message>
        <source>read</source>
        <translation>đọc</translation>
    </message>
    <message>
        <source>written</source>
        <translation>viết</translation>
    </message>
    <message>
        <source>reading</source>
        <translation>đang đọc</translation>
    </message>
    <message>
        <source>writing</source>
        <translation>đang viết</translation>
    </message>
    <message>
        <source>idle share</source>
        <translation>phần nghỉ</translation>
    </message>
    <message>
        <source>No price for electricity is chosen: see below.</source>
        <translation>Chưa chọn giá điện: xem bên dưới.</translation>
    </message>
    <message>
        <source>Export as CSV</source>
        <translation>Xuất thành CSV</translation>
    </message>
    <message>
        <source>Table (*.csv)</source>
        <translation>Bảng (*.csv)</translation>
    </message>
    <message>
        <source>Written to {path}.</source>
        <translation>Đã ghi vào {path}.</translation>
    </message>
    <message>
        <source>Usage</source>
        <translation>Sử dụng</translation>
    </message>
    <message numerus="yes">
        <source>%n day(s)</source>
        <translation>
            <numerusform>%n ngày</numerusform>
        </translation>
    </message>
    <message>
        <source>Export CSV</source>
        <translation>Xuất CSV</translation>
    </message>
    <message>
        <source>Tokens a day</source>
        <translation>Token mỗi ngày</translation>
    </message>
    <message>
        <source>Energy a day</source>
        <translation>Điện năng mỗi ngày</translation>
    </message>
    <message>
        <source>Money a day</source>
        <translation>Chi phí mỗi ngày</translation>
    </message>
    <message>
        <source>What your models cost</source>
        <translation>Các mô hình của bạn tốn bao nhiêu</translation>
    </message>
    <message>
        <source>Every answer is counted here: tokens, electricity and money, by model and by chat, beside what a hosted model would have cost. Ask something, and it begins.</source>
        <translation>Mỗi câu trả lời đều được tính ở đây: token, điện và tiền, theo mô hình và theo cuộc trò chuyện, bên cạnh chi phí nếu dùng mô hình trên mạng. Hãy hỏi một câu để bắt đầu.</translation>
    </message>
    <message>
        <source>Open the chat</source>
        <translation>Mở trò chuyện</translation>
    </message>
</context>
<context>
    <name>UsageSums</name>
    <message>
        <source>Answers</source>
        <translation>Câu trả lời</translation>
    </message>
    <message>
        <source>Tokens read</source>
        <translation>Token đọc</translation>
    </message>
    <message>
        <source>Written</source>
        <translation>Đã viết</translation>
    </message>
    <message>
        <source>Energy</source>
        <translation>Điện năng</translation>
    </message>
    <message>
        <source>J/token</source>
        <translation>J/token</translation>
    </message>
    <message>
        <source>Cost</source>
        <translation>Chi phí</translation>
    </message>
    <message>
        <source>Per million</source>
        <translation>Mỗi triệu</translation>
    </message>
    <message>
        <source>For each token: {read} to read it, {written} to write it.</source>
        <translation>Mỗi token: đọc {read}, viết {written}.</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>Trò chuyện</translation>
    </message>
    <message>
        <source>Day</source>
        <translation>Ngày</translation>
    </message>
    <message>
        <source>Month</source>
        <translation>Tháng</translation>
    </message>
    <message>
        <source>API server</source>
        <translation>Máy chủ API</translation>
    </message>
    <message>
        <source>Terminal</source>
        <translation>Dòng lệnh</translation>
    </message>
    <message>
        <source>Other chats</source>
        <translation>Cuộc trò chuyện khác</translation>
    </message>
    <message>
        <source>A chat that is gone</source>
        <translation>Cuộc trò chuyện đã xóa</translation>
    </message>
    <message>
        <source>By model</source>
        <translation>Theo mô hình</translation>
    </message>
    <message>
        <source>By chat</source>
        <translation>Theo cuộc trò chuyện</translation>
    </message>
    <message>
        <source>By day</source>
        <translation>Theo ngày</translation>
    </message>
    <message>
        <source>By month</source>
        <translation>Theo tháng</translation>
    </message>
    <message>
        <source>Sums</source>
        <translation>Tổng hợp</translation>
    </message>
</context>
<context>
    <name>VariablesDialog</name>
    <message>
        <source>Cancel</source>
        <translation>Hủy</translation>
    </message>
    <message>
        <source>Fill in</source>
        <translation>Điền vào</translation>
    </message>
</context>
<context>
    <name>Ways</name>
    <message>
        <source>Back</source>
        <translation>Quay lại</translation>
    </message>
    <message>
        <source>Forward</source>
        <translation>Tiến tới</translation>
    </message>
</context>
<context>
    <name>WelcomePage</name>
    <message>
        <source>{name} is on this machine already. It is tiny, so don't expect wonders.</source>
        <translation>{name} đã có sẵn trên máy. Nó rất nhỏ, nên đừng mong điều kỳ diệu.</translation>
    </message>
    <message>
        <source>Start chatting</source>
        <translation>Bắt đầu trò chuyện</translation>
    </message>
    <message>
        <source>{name} runs on any machine. It is tiny, so don't expect wonders.</source>
        <translation>{name} chạy trên mọi máy. Nó rất nhỏ, nên đừng mong điều kỳ diệu.</translation>
    </message>
    <message>
        <source>Download {size} and start</source>
        <translation>Tải {size} và bắt đầu</translation>
    </message>
    <message>
        <source>Language models, on your own machine</source>
        <translation>Mô hình ngôn ngữ, ngay trên máy của bạn</translation>
    </message>
    <message>
        <source>Find a model, download it, talk to it. Nothing you write leaves this computer.</source>
        <translation>Tìm một mô hình, tải về, trò chuyện với nó. Không điều gì bạn viết rời khỏi máy này.</translation>
    </message>
    <message>
        <source>Try it at once</source>
        <translation>Thử ngay</translation>
    </message>
    <message>
        <source>Choose a model</source>
        <translation>Chọn mô hình</translation>
    </message>
    <message>
        <source>Search the Hugging Face Hub, or paste the address of a model's page.</source>
        <translation>Tìm trên Hugging Face Hub, hoặc dán địa chỉ trang của mô hình.</translation>
    </message>
    <message>
        <source>For example: Qwen3 4B</source>
        <translation>Ví dụ: Qwen3 4B</translation>
    </message>
    <message>
        <source>Search the Hub</source>
        <translation>Tìm trên Hub</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>Tìm</translation>
    </message>
    <message>
        <source>Skip, and look around</source>
        <translation>Bỏ qua, và xem quanh</translation>
    </message>
</context>
<context>
    <name>WhatIf</name>
    <message>
        <source>What if there were</source>
        <translation>Nếu có thêm</translation>
    </message>
    <message>
        <source>no further GPU</source>
        <translation>không thêm GPU</translation>
    </message>
    <message>
        <source>another GPU of {size}</source>
        <translation>một GPU {size}</translation>
    </message>
    <message>
        <source>no more memory</source>
        <translation>không thêm bộ nhớ</translation>
    </message>
    <message>
        <source>{size} more memory</source>
        <translation>thêm {size} bộ nhớ</translation>
    </message>
</context>
<context>
    <name>Windows</name>
    <message>
        <source>{keys} asks a quick question from any program now.</source>
        <translation>Từ giờ {keys} mở hỏi nhanh từ mọi chương trình.</translation>
    </message>
    <message>
        <source>The desktop did not give {keys}: it was declined, or there is no portal for it.</source>
        <translation>Màn hình nền không cấp {keys}: bạn đã từ chối, hoặc màn hình nền không có cổng cấp phím.</translation>
    </message>
    <message>
        <source>{keys} can't be had: another program has it, or it is no key of this keyboard.</source>
        <translation>Không lấy được {keys}: chương trình khác đang giữ, hoặc bàn phím này không có phím đó.</translation>
    </message>
    <message>
        <source>This desktop gives no program a key for everywhere. The tray asks quickly too.</source>
        <translation>Màn hình nền này không cho chương trình nào phím dùng ở mọi nơi. Khay hệ thống cũng hỏi nhanh được.</translation>
    </message>
</context>
<context>
    <name>WishBox</name>
    <message>
        <source>Looking for types…</source>
        <translation>Đang tìm kiểu…</translation>
    </message>
    <message>
        <source>How quick this machine is was not measured yet.</source>
        <translation>Chưa đo máy này nhanh đến đâu.</translation>
    </message>
    <message>
        <source>Measuring, under a minute…</source>
        <translation>Đang đo, chưa đến một phút…</translation>
    </message>
    <message>
        <source>Each part of the model is made smaller alone and measured on the text; then the parts that lose least get the smallest types. This takes a while.</source>
        <translation>Từng phần của mô hình được thu nhỏ riêng và đo trên văn bản; sau đó phần nào mất ít nhất nhận kiểu nhỏ nhất. Việc này mất khá lâu.</translation>
    </message>
    <message>
        <source> tokens/s</source>
        <translation> token/giây</translation>
    </message>
    <message>
        <source>At most this large</source>
        <translation>Lớn tối đa</translation>
    </message>
    <message>
        <source>At least this quick here</source>
        <translation>Nhanh tối thiểu ở đây</translation>
    </message>
    <message>
        <source>A KL divergence of at most</source>
        <translation>Độ lệch KL tối đa</translation>
    </message>
    <message>
        <source>Wish</source>
        <translation>Mong muốn</translation>
    </message>
    <message>
        <source>How much</source>
        <translation>Bao nhiêu</translation>
    </message>
    <message>
        <source>Find types</source>
        <translation>Tìm kiểu</translation>
    </message>
    <message>
        <source>Measure this machine's speed</source>
        <translation>Đo tốc độ máy này</translation>
    </message>
    <message>
        <source>Takes under a minute; other programs should be quiet.</source>
        <translation>Mất chưa đến một phút; các chương trình khác nên tạm nghỉ.</translation>
    </message>
    <message>
        <source>A mix of types by measuring each part</source>
        <translation>Pha nhiều kiểu bằng cách đo từng phần</translation>
    </message>
    <message>
        <source>Text to measure on</source>
        <translation>Văn bản để đo</translation>
    </message>
</context>
<context>
    <name>Words</name>
    <message>
        <source>{count} s</source>
        <translation>{count} giây</translation>
    </message>
    <message>
        <source>{count} min</source>
        <translation>{count} phút</translation>
    </message>
    <message>
        <source>{hours} h {minutes} min</source>
        <translation>{hours} giờ {minutes} phút</translation>
    </message>
    <message>
        <source>just now</source>
        <translation>vừa xong</translation>
    </message>
    <message>
        <source>%n minute(s) ago</source>
        <translation>%n phút trước</translation>
    </message>
    <message>
        <source>%n hour(s) ago</source>
        <translation>%n giờ trước</translation>
    </message>
    <message>
        <source>%n day(s) ago</source>
        <translation>%n ngày trước</translation>
    </message>
    <message>
        <source>%n month(s) ago</source>
        <translation>%n tháng trước</translation>
    </message>
    <message>
        <source>%n year(s) ago</source>
        <translation>%n năm trước</translation>
    </message>
    <message>
        <source>Fits on the GPU</source>
        <translation>Vừa trên GPU</translation>
    </message>
    <message>
        <source>Fits in memory</source>
        <translation>Vừa bộ nhớ</translation>
    </message>
    <message>
        <source>Partly on the GPU</source>
        <translation>Một phần trên GPU</translation>
    </message>
    <message>
        <source>Too large</source>
        <translation>Quá lớn</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>Văn bản</translation>
    </message>
    <message>
        <source>Embedding</source>
        <translation>Nhúng</translation>
    </message>
    <message>
        <source>Reranker</source>
        <translation>Xếp hạng lại</translation>
    </message>
    <message>
        <source>Vision projector</source>
        <translation>Bộ chiếu hình ảnh</translation>
    </message>
    <message>
        <source>Draft model</source>
        <translation>Mô hình nháp</translation>
    </message>
    <message>
        <source>Importance matrix</source>
        <translation>Ma trận độ quan trọng</translation>
    </message>
    <message>
        <source>Adapter</source>
        <translation>Bộ chuyển</translation>
    </message>
    <message>
        <source>Other</source>
        <translation>Khác</translation>
    </message>
    <message>
        <source>Lets a model see images; it is loaded beside the model.</source>
        <translation>Giúp mô hình nhìn được hình ảnh; được nạp cùng mô hình.</translation>
    </message>
    <message>
        <source>Proposes tokens that the model then checks: faster answers, the same text.</source>
        <translation>Đề xuất token để mô hình kiểm tra: trả lời nhanh hơn, văn bản như cũ.</translation>
    </message>
    <message>
        <source>Says which weights matter most; used when a model is quantized.</source>
        <translation>Cho biết trọng số nào quan trọng nhất; dùng khi lượng tử hóa mô hình.</translation>
    </message>
    <message>
        <source>Changes a model's manner (LoRA); it is loaded beside the model.</source>
        <translation>Thay đổi cách trả lời của mô hình (LoRA); được nạp cùng mô hình.</translation>
    </message>
    <message>
        <source>A forecast from what was measured on this machine; no answer has corrected it yet.</source>
        <translation>Dự báo từ những gì đã đo trên máy này; chưa có câu trả lời nào điều chỉnh nó.</translation>
    </message>
    <message>
        <source>A forecast from what was measured on this machine, corrected by %n answer(s).</source>
        <translation>Dự báo từ những gì đã đo trên máy này, được điều chỉnh theo %n câu trả lời.</translation>
    </message>
    <message>
        <source>about {low} to {high}</source>
        <translation>khoảng {low} đến {high}</translation>
    </message>
</context>
<context>
    <name>_Popup</name>
    <message>
        <source>Filter, or search the Hub</source>
        <translation>Lọc, hoặc tìm trên Hub</translation>
    </message>
    <message>
        <source>Filter models</source>
        <translation>Lọc mô hình</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>Mô hình</translation>
    </message>
    <message>
        <source>Loaded</source>
        <translation>Đã nạp</translation>
    </message>
    <message>
        <source>On this machine</source>
        <translation>Trên máy này</translation>
    </message>
    <message>
        <source>Search the Hub for “{words}”</source>
        <translation>Tìm “{words}” trên Hub</translation>
    </message>
    <message>
        <source>Search the Hub</source>
        <translation>Tìm trên Hub</translation>
    </message>
</context>
</TS>
